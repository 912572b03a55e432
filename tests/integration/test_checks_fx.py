"""Pairs of currencies: their holidays, years of their hourly bars before training, and calendars that had it wrong."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime

import bars as market
import numpy as np
import pandas as pd
import pytest
from databases import database
from sqlalchemy import text
from test_checks import failed

from mlops import checks
from mlops.datasets import materialise
from mlops.domain import Role
from mlops.features import build
from mlops.registry import start_run
from mlops.sources import FileSource, ingest_bars
from mlops.sources.calendars import extend_sessions
from mlops.spec import UniverseSpec
from mlops.training import find_spec
from mlops.warehouse import Warehouse
from mlops.warehouse.databases import beside

SPEC = find_spec("stocks_d1/gbm").model_copy(
    update={"model": "fx_h1", "timeframe": "h1", "universe": UniverseSpec(asset_class="fx")}
)
TRAINED = datetime(2018, 12, 21, 22, tzinfo=UTC)


def pairs() -> pd.DataFrame:
    """Return hourly bars of EURUSD from December 2013 on, and of a pair made from it, with a volume that is made up."""
    euro = pd.read_parquet(market.SHARED_DATA / "fx_hourly.parquet").drop(columns="spread")
    euro = euro[euro.ts >= "2013-12-01"].copy()
    rng = np.random.default_rng(5)
    euro["volume"] = rng.integers(100, 10_000, len(euro)).astype(float)
    drift = np.exp(np.cumsum(rng.normal(0, 0.0005, len(euro))))
    pound = euro.assign(symbol="GBPUSD", **{name: euro[name] * 1.3 * drift for name in market.PRICES})
    return pd.concat([euro, pound])


@pytest.fixture(scope="module")
def traded(server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """Two pairs of currencies with features and labels."""
    if not market.SHARED_DATA.is_dir():
        pytest.skip("the folder shared/data is not beside the checkout")
    file = tmp_path_factory.mktemp("fx") / "fx.parquet"
    pairs().to_parquet(file)
    with database(server_url, template) as name, Warehouse(beside(server_url, name)) as warehouse:
        ingest_bars(warehouse, FileSource(file), timeframe="h1", asset_class="fx", timezone="UTC")
        build(warehouse)
        yield warehouse


def test_years_of_two_pairs_pass_before_training(traded: Warehouse) -> None:
    with traded.begin(Role.WORKER) as connection:
        run_id = start_run(connection, SPEC, TRAINED)
        chosen = materialise(connection, run_id, SPEC, TRAINED)
    assert chosen.n_used > 50_000
    findings = checks.training(traded, run_id, TRAINED)
    assert [(each.expectation, each.first_rows) for each in findings.failures] == []
    checks.gate(findings)


@pytest.mark.parametrize(
    "as_of",
    [
        "2014-12-26 06:00",
        "2015-01-01 12:00",
        "2015-01-02 06:00",
        "2017-12-26 12:00",
        "2018-01-02 06:00",
        "2018-07-04 12:00",
    ],
)
def test_the_day_after_a_holiday_is_a_day_to_forecast(traded: Warehouse, as_of: str) -> None:
    assert failed(checks.daily(traded, datetime.fromisoformat(as_of).replace(tzinfo=UTC), "h1")) == set()


def test_a_day_that_is_missing_for_both_pairs_closes_the_gate(traded: Warehouse) -> None:
    """Four days of December 2016, which are really not in the file: too near then, and borne two years later."""
    findings = checks.run(traded, ["market"], as_of=datetime(2016, 12, 30, 20, tzinfo=UTC), timeframe="h1")
    (missing,) = (each for each in findings.failures if each.expectation == "no_session_is_missing_for_all")
    assert missing.rows_at_fault == 4
    assert "opens_at=2016-12-15T00:00:00+00:00" in missing.first_rows[0]


def test_old_sessions_that_are_missing_for_all_are_borne_up_to_one_in_two_hundred(featured: Warehouse) -> None:
    """The sample has 3,270 sessions: sixteen may be missing, seventeen are too many."""
    as_of = datetime(2013, 3, 1, 22, tzinfo=UTC)

    def missing(n: int) -> bool:
        with featured.begin(role=None) as connection:
            connection.execute(
                text(
                    "DELETE FROM market.bars WHERE ts IN (SELECT DISTINCT ts FROM market.bars "
                    "WHERE ts < '2010-01-01' ORDER BY ts DESC LIMIT :n)"
                ),
                {"n": n},
            )
        findings = checks.run(featured, ["market"], as_of=as_of, since=checks.BEGINNING)
        return "no_session_is_missing_for_all" in failed(findings)

    with featured.begin() as connection:
        n_sessions = connection.execute(
            text("SELECT count(*) FROM market.sessions WHERE opens_at BETWEEN '2000-03-01' AND '2013-03-02'")
        ).scalar_one()
    borne = int(0.005 * n_sessions)
    assert not missing(borne)
    assert missing(1)


def sessions(warehouse: Warehouse) -> list[tuple[date, int]]:
    with warehouse.begin() as connection:
        query = text("SELECT session, ordinal FROM market.sessions WHERE exchange = '24/5' ORDER BY session")
        return [(row.session, row.ordinal) for row in connection.execute(query)]


def test_currencies_have_no_session_on_their_two_holidays(warehouse: Warehouse) -> None:
    with warehouse.begin() as connection:
        extend_sessions(connection, "24/5", date(2010, 1, 4), datetime(2018, 1, 3, tzinfo=UTC))
    days = [day for day, _ in sessions(warehouse)]
    assert days[0] == date(2009, 1, 2)
    assert not {(12, 25), (1, 1)} & {(day.month, day.day) for day in days}
    every = pd.bdate_range(days[0], days[-1])
    assert len(days) == len(every) - sum((day.month, day.day) in {(12, 25), (1, 1)} for day in every)
    assert date(2014, 12, 24) in days
    assert date(2014, 12, 26) in days
