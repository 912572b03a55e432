"""Lists of symbols: what is taken in, rejected, corrected, and asked for as it was known at a moment."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from jobs.ingest import from_inbox
from mlops.exceptions import SourceError
from mlops.sources import FileSource, Ingested, kinds
from mlops.warehouse import Warehouse

NOW = datetime(2017, 6, 30, 22, tzinfo=UTC)


@pytest.fixture
def market(warehouse: Warehouse) -> Warehouse:
    """Two stocks of New York and one of Tokyo."""
    with warehouse.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO market.symbols (ticker, asset_class, exchange, timezone) VALUES "
                "('AAPL', 'equity', 'XNYS', 'America/New_York'), ('IBM', 'equity', 'XNYS', 'America/New_York'), "
                "('7203', 'equity', 'XTKS', 'Asia/Tokyo')"
            )
        )
    return warehouse


def ingest(warehouse: Warehouse, file: Path, lines: str, **options: Any) -> Ingested:
    file.write_text(lines)
    return kinds()["universes"].ingest(warehouse, FileSource(file), now=NOW, **options)


def rows(warehouse: Warehouse, query: str) -> list[tuple[Any, ...]]:
    with warehouse.begin() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


STAYS = """
    SELECT universe, ticker, to_char(ts AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'),
        to_char(until AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), to_char(known_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')
    FROM market.universes JOIN market.symbols ON id = symbol_id ORDER BY universe, ticker
"""
GOOD = "List,Ticker,From,To,Known at\nlarge,AAPL,2015-03-19,,2015-03-09\nlarge,IBM,1990-01-02,2016-01-04,\n"


def members(warehouse: Warehouse, moment: str) -> set[str]:
    query = f"""
        SELECT ticker FROM market.universe_at('{{"list": "large"}}', 'd1', '{moment}') AS asked (id)
        JOIN market.symbols USING (id)
    """
    return {ticker for (ticker,) in rows(warehouse, query)}


def test_a_date_is_the_beginning_of_the_day_where_the_symbol_trades(market: Warehouse, tmp_path: Path) -> None:
    lines = "list,symbol,from,until\nlarge,AAPL,2015-03-19,\nlarge,7203,2015-03-19,2016-01-04\n"
    assert ingest(market, tmp_path / "lists.csv", lines).counts == {
        "read": 2, "new": 2, "changed": 0, "unchanged": 0, "rejected": 0,
    }  # fmt: skip
    assert rows(market, STAYS) == [
        ("large", "7203", "2015-03-18 15:00", "2016-01-03 15:00", "2015-03-18"),
        ("large", "AAPL", "2015-03-19 04:00", None, "2015-03-19"),
    ]


def test_who_is_on_the_list_goes_by_the_moment(market: Warehouse, tmp_path: Path) -> None:
    ingest(market, tmp_path / "lists.csv", GOOD)
    assert members(market, "2015-03-18 22:00Z") == {"IBM"}
    assert members(market, "2015-03-19 22:00Z") == {"AAPL", "IBM"}
    assert members(market, "2016-01-04 22:00Z") == {"AAPL"}


def test_twice_the_same_file_changes_nothing(market: Warehouse, tmp_path: Path) -> None:
    everything = "SELECT xmin::text, u.* FROM market.universes AS u ORDER BY symbol_id"
    assert ingest(market, tmp_path / "lists.csv", GOOD).new == 2
    before = rows(market, everything)
    again = ingest(market, tmp_path / "lists.csv", GOOD)
    assert (again.unchanged, again.new, again.changed) == (2, 0, 0)
    assert rows(market, everything) == before


def test_a_stay_that_has_ended_is_corrected(market: Warehouse, tmp_path: Path) -> None:
    ingest(market, tmp_path / "lists.csv", GOOD)
    [(recorded,)] = rows(market, "SELECT max(recorded_at) FROM market.universes")
    ended = ingest(market, tmp_path / "later.csv", "list,symbol,from,to\nlarge,AAPL,2015-03-19,2017-06-26\n")
    assert (ended.changed, ended.new) == (1, 0)
    assert ("large", "AAPL", "2015-03-19 04:00", "2017-06-26 04:00", "2015-03-09") in rows(market, STAYS)
    assert members(market, "2017-06-26 20:00Z") == set()
    assert rows(market, f"SELECT count(*) FROM market.universes WHERE recorded_at > '{recorded}'") == [(1,)]
    [(until, superseded)] = rows(market, "SELECT until, superseded_at > recorded_at FROM market.superseded_universes")
    assert (until, superseded) == (None, True)
    # A file that says nothing of an end leaves it as it is.
    silent = ingest(market, tmp_path / "silent.csv", "list,symbol,from\nlarge,AAPL,2015-03-19\n")
    assert silent.unchanged == 1


def test_rows_that_cannot_be_true_are_kept_with_the_reason(market: Warehouse, tmp_path: Path) -> None:
    bad = {
        "large,MSFT,2015-03-19,,": "no such symbol in the warehouse: ingest its bars",
        "large,,2015-03-19,,": "symbol is missing",
        ",AAPL,2015-03-19,,": "universe is missing",
        "large,AAPL,,,": "ts is missing",
        "large,AAPL,soon,,": "ts is no date",
        "large,AAPL,1815-03-19,,": "ts is before 1900",
        "large,AAPL,2015-03-19,2015-03-19,": "until is not after ts",
        "large,AAPL,2018-03-19,,": "it is known only in the future",
        "large,AAPL,2015-03-19,never,": "until is no date",
        "large,IBM,1990-01-02,,": "duplicate of line 2",
        f"{'x' * 65},IBM,1990-01-02,,": "universe is longer than 64 characters",
    }
    lines = "list,symbol,from,to,known at\nlarge,IBM,1990-01-02,,\n" + "".join(f"{line}\n" for line in bad)
    got = ingest(market, tmp_path / "lists.csv", lines)
    assert (got.read, got.new, got.rejected) == (12, 1, 11)
    assert rows(market, "SELECT line, reason, kind FROM market.rejects ORDER BY line") == [
        (line, reason, "universes") for line, reason in enumerate(bad.values(), start=3)
    ]
    [(row,)] = rows(market, "SELECT row FROM market.rejects WHERE line = 9")
    assert (row["universe"], row["symbol"], row["until"][:10]) == ("large", "AAPL", "2015-03-19")
    assert rows(market, "SELECT kind, n_read, n_new, n_rejected FROM market.ingests") == [("universes", 12, 1, 11)]


def test_what_is_announced_for_a_later_day_is_known_now(market: Warehouse, tmp_path: Path) -> None:
    got = ingest(market, tmp_path / "lists.csv", "list,symbol,from,known at\nlarge,IBM,2017-07-03,2017-06-20\n")
    assert got.new == 1
    assert members(market, "2017-07-01 00:00Z") == set()
    assert members(market, "2017-07-03 20:00Z") == {"IBM"}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("list,symbol\nlarge,IBM\n", "no column for ts"),
        ("list,symbol,from\nlarge,IBM,one\nlarge,AAPL,two\n", "No row of .* has a date"),
    ],
)
def test_a_file_that_will_not_do_leaves_nothing(market: Warehouse, tmp_path: Path, lines: str, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        ingest(market, tmp_path / "lists.csv", lines)
    assert rows(market, "SELECT count(*) FROM market.ingests") == [(0,)]


def test_the_inbox_takes_lists_and_lets_those_wait_that_are_not_known_yet(market: Warehouse, tmp_path: Path) -> None:
    (tmp_path / "universes_2017.csv").write_text(GOOD)
    (tmp_path / "universes_next.csv").write_text("list,symbol,from\nsmall,IBM,2017-07-03\n")
    from_inbox(market, NOW, tmp_path)
    assert (tmp_path / "done" / "universes_2017.csv").exists()
    assert "1 rows wait" in (tmp_path / "universes_next.csv.why.txt").read_text()
    from_inbox(market, datetime(2017, 7, 3, 22, tzinfo=UTC), tmp_path)
    assert (tmp_path / "done" / "universes_next.csv").exists()
    assert len(rows(market, STAYS)) == 3
