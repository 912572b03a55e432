"""What is learnt is recorded in the order of its commits: a build reads on from a moment, and misses nothing."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from sqlalchemy import text

from mlops.domain import Role
from mlops.sources import FileSource, ingest_bars, ingest_earnings
from mlops.warehouse import Warehouse

LISTED = (
    "INSERT INTO market.universes (universe, symbol_id, ts, known_at) "
    "SELECT 'mine', id, :ts, :ts FROM market.symbols WHERE ticker = :ticker"
)
AHEAD = "2100-01-01 00:00:00+00"


def bars(warehouse: Warehouse, folder: Path, *tickers: str) -> None:
    file = folder / f"{'_'.join(tickers)}.csv"
    rows = "\n".join(f"{ticker},2017-07-03,10,11,9,10.5,100" for ticker in tickers)
    file.write_text(f"symbol,date,open,high,low,close,volume\n{rows}\n")
    ingest_bars(warehouse, FileSource(file))


def rows(warehouse: Warehouse, query: str) -> list[Any]:
    with warehouse.begin(role=None) as connection:
        return list(connection.execute(text(query)).all())


def owner(warehouse: Warehouse, statement: str, **parameters: object) -> None:
    with warehouse.begin(role=None) as connection:
        connection.execute(text(statement), parameters)


def test_a_clock_that_was_put_back_does_not_put_symbols_and_announcements_before_others(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    bars(warehouse, tmp_path, "A")
    owner(warehouse, f"UPDATE market.symbols SET recorded_at = '{AHEAD}'")
    bars(warehouse, tmp_path, "B")
    [symbol] = rows(warehouse, f"SELECT recorded_at > '{AHEAD}' AS is_later FROM market.symbols WHERE ticker = 'B'")
    assert symbol.is_later
    for day in ("2017-06-29", "2017-06-30"):
        file = tmp_path / f"earnings_{day}.csv"
        file.write_text(f"symbol,date,eps_est,eps,release\nA,{day},1,1,pre\n")
        ingest_earnings(warehouse, FileSource(file))
    times = [row.recorded_at for row in rows(warehouse, "SELECT recorded_at FROM market.earnings ORDER BY date")]
    assert times == sorted(set(times))
    assert times[0] > rows(warehouse, "SELECT max(recorded_at) AS newest FROM market.symbols")[0].newest


def test_who_writes_a_list_by_hand_is_recorded_after_those_before(warehouse: Warehouse, tmp_path: Path) -> None:
    """The first one takes its time to commit: the second one waits, so that nobody reads past what is to come."""
    bars(warehouse, tmp_path, "A", "B")
    done: list[str] = []

    def second() -> None:
        with warehouse.begin(Role.WORKER) as connection:
            connection.execute(text(LISTED), {"ticker": "B", "ts": "2017-01-01Z"})
            done.append("second")

    with warehouse.begin(Role.WORKER) as connection:
        connection.execute(text(LISTED), {"ticker": "A", "ts": "2017-01-01Z"})
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
        done.append("first")
    thread.join(20)
    assert done == ["first", "second"]
    ordered = rows(warehouse, "SELECT ticker FROM market.universes JOIN market.symbols ON id = symbol_id "
                              "ORDER BY market.universes.recorded_at")  # fmt: skip
    assert [row.ticker for row in ordered] == ["A", "B"]
    owner(warehouse, "ALTER TABLE market.universes DISABLE TRIGGER is_recorded_in_order")
    owner(warehouse, f"UPDATE market.universes SET recorded_at = '{AHEAD}'")
    owner(warehouse, "ALTER TABLE market.universes ENABLE TRIGGER is_recorded_in_order")
    owner(warehouse, LISTED, ticker="A", ts="2018-01-01Z")
    [added] = rows(
        warehouse, f"SELECT recorded_at > '{AHEAD}' AS is_later FROM market.universes WHERE ts > '2017-06-01'"
    )
    assert added.is_later
