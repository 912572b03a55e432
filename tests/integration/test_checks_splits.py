"""Splits that the prices are not adjusted for: all that are real close the gate, and no real move does."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import bars as market
import pandas as pd
import pytest
from planted_faults import AAPL, AS_OF, id_of, narrowed
from sqlalchemy import text
from test_checks import add_run, failed

from mlops import checks
from mlops.checks import CheckResult, suites
from mlops.checks.run import run_suites
from mlops.domain import Role
from mlops.exceptions import WarehouseError
from mlops.sources import FileSource, ingest_bars
from mlops.warehouse import Warehouse

NAME = "no_split_is_unadjusted"
NOW = datetime(2025, 1, 1, tzinfo=UTC)
needs_data = pytest.mark.skipif(
    not market.SHARED_DATA.is_dir(), reason="the folder shared/data is not beside the checkout"
)


def looked_for(warehouse: Warehouse, timeframe: str) -> tuple[CheckResult, set[tuple[str, str]]]:
    """Look for splits in the whole history; return the result, and ticker and day of each row at fault."""
    findings = run_suites(
        warehouse, [narrowed(suites.load("market"), NAME)], as_of=NOW, since=checks.BEGINNING,
        run_id=uuid4(), timeframe=timeframe,
    )  # fmt: skip
    (result,) = (each for each in findings.results if each.expectation == NAME)
    assert "could not be checked" not in result.observed
    with warehouse.begin(Role.WORKER) as connection:
        rows = connection.execute(text(result.query)).all()
    return result, {(row.ticker, f"{row.ts.astimezone(UTC):%Y-%m-%d}") for row in rows}


@needs_data
def test_the_real_splits_of_an_hourly_series_close_the_gate(warehouse: Warehouse) -> None:
    hourly = market.hourly_bars("AAPL")
    market.put(warehouse.plain_url, hourly)
    result, found = looked_for(warehouse, "h1")
    assert found == {("AAPL", "2014-06-09"), ("AAPL", "2020-08-31")}
    assert result.first_rows[0] == (
        "symbol_id=1, ticker=AAPL, ts=2020-08-31T13:00:00+00:00, close_before=499.23, open=127.67, close=128.04, "
        "times=0.2565"
    )

    # What the source should have said: each close in the shares of today.
    shares = pd.Series(1.0, index=hourly.index)
    shares[hourly.ts < pd.Timestamp("2020-08-31", tz="UTC")] *= 4
    shares[hourly.ts < pd.Timestamp("2014-06-09", tz="UTC")] *= 7
    market.put(warehouse.plain_url, hourly.assign(adj_close=hourly.close / shares))
    assert looked_for(warehouse, "h1")[1] == set()

    # And one split forgotten.
    market.put(warehouse.plain_url, hourly.assign(adj_close=hourly.close / shares.clip(upper=4)))
    assert looked_for(warehouse, "h1")[1] == {("AAPL", "2014-06-09")}


@pytest.mark.parametrize(
    "shares", [3 / 2, 2, 5 / 2, 3, 4, 5, 7, 10, 20, 50, 1 / 2, 1 / 3, 1 / 10, 1 / 20], ids=lambda n: f"{n:.3g} for 1"
)
@pytest.mark.parametrize("adj_close", ["none", "as wrong as the close"])
def test_a_split_of_every_usual_ratio_is_seen(warehouse: Warehouse, shares: float, adj_close: str) -> None:
    bars = market.sample_bars()
    bars = bars[(bars.ticker == "IBM") & (bars.ts > pd.Timestamp("2010-01-01", tz="UTC"))].copy()
    bars[[*market.PRICES]] = bars[[*market.PRICES]].mul(bars.adj_close / bars.close, axis=0)
    later = bars.ts >= pd.Timestamp("2011-06-01", tz="UTC")
    bars.loc[later, market.PRICES] /= shares
    bars["volume"] = bars.volume.astype(float).where(~later, bars.volume * shares)
    market.put(warehouse.plain_url, bars.assign(adj_close=None if adj_close == "none" else bars.close))
    assert looked_for(warehouse, "d1")[1] == {("IBM", "2011-06-01")}


@needs_data
def test_no_real_move_of_currencies_is_taken_for_one(warehouse: Warehouse) -> None:
    hourly = pd.read_parquet(market.SHARED_DATA / "fx_hourly.parquet").rename(columns={"symbol": "ticker"})
    ts = hourly.ts.dt.tz_localize("UTC")
    market.put(
        warehouse.plain_url,
        hourly.assign(timeframe="h1", ts=ts, known_at=ts + pd.Timedelta(hours=1), volume=None, adj_close=None),
    )
    assert looked_for(warehouse, "h1")[1] == set()


@needs_data
def test_of_503_stocks_only_what_is_wrong_is_found(warehouse: Warehouse) -> None:
    """The file says that it is adjusted for splits. It is not everywhere, and these are all that is seen of it."""
    ingest_bars(warehouse, FileSource(market.SHARED_DATA / "us_equities_daily.parquet"))
    _, found = looked_for(warehouse, "d1")
    assert found == {
        # Splits and dividends in shares, two for one
        ("DISCA", "2014-08-07"), ("UAA", "2014-04-15"), ("UAA", "2016-04-08"),
        # Parts of the company that were given to its owners: PayPal, HP Enterprise, Kraft
        ("EBAY", "2015-07-20"), ("HPQ", "2015-11-02"), ("MDLZ", "2012-10-02"),
        # Stretches that were adjusted twice or not at all: the price goes there and comes back, or never was so
        ("APH", "2014-09-08"), ("DVA", "2013-09-09"), ("DVA", "2013-09-23"), ("HLT", "2017-01-03"),
        ("HLT", "2017-01-04"), ("JEC", "2017-02-15"), ("NYSE:NBL", "2013-05-02"), ("PPG", "2013-10-17"),
        ("TMK", "2014-04-01"),
    }  # fmt: skip

    # A split at UAA, and SNI without a bar for 130 days: both are left out, and the day's forecasts of the others made.
    findings = checks.run(warehouse, ["market"], as_of=datetime(2016, 7, 29, 20, tzinfo=UTC))
    assert {result.expectation for result in findings.failures} == {NAME, "year_is_complete"}
    assert id_of(warehouse, "UAA") in findings.quarantined
    assert len(findings.quarantined) <= 3
    checks.gate(findings)


SPLIT_YEARS_AGO = f"""
    UPDATE market.bars SET open = open / 7, high = high / 7, low = low / 7, close = close / 7, adj_close = adj_close / 7
    WHERE symbol_id = {AAPL} AND ts >= '2011-03-01'
"""


def test_a_split_years_ago_keeps_its_symbol_out_of_training_and_not_of_the_days_forecast(featured: Warehouse) -> None:
    run_id = add_run(featured)
    with featured.begin(role=None) as connection:
        connection.execute(text(SPLIT_YEARS_AGO))
    assert NAME not in failed(checks.daily(featured, AS_OF))
    findings = checks.training(featured, run_id, AS_OF)
    assert NAME in failed(findings)
    alone = checks.CheckFindings(run_id, AS_OF, "d1", tuple(r for r in findings.results if r.expectation == NAME))
    assert alone.quarantined == {id_of(featured, "AAPL")}
    checks.gate(alone)
    assert "ticker=AAPL, ts=2011-03-01T14:30:00+00:00" in alone.results[0].first_rows[0]


def test_a_split_in_the_windows_of_the_features_stops_the_days_forecast(featured: Warehouse) -> None:
    """45 sessions ago: before the sessions that are looked at, and still in sma_ratio_50 of every one of them."""
    with featured.begin(role=None) as connection:
        connection.execute(text(SPLIT_YEARS_AGO.replace("2011-03-01", "2012-12-24")))
    assert NAME in failed(checks.daily(featured, AS_OF))


def test_a_move_that_was_real_is_confirmed_by_the_owner(featured: Warehouse) -> None:
    with featured.begin(role=None) as connection:
        connection.execute(text(SPLIT_YEARS_AGO))
    confirm = text(
        "INSERT INTO market.confirmed_moves (symbol_id, timeframe, ts, reason) "
        "SELECT id, 'd1', '2011-03-01 14:30:00+00', 'Trial failed, see the news of that day' "
        "FROM market.symbols WHERE ticker = 'AAPL'"
    )
    with pytest.raises(WarehouseError, match="permission denied"), featured.begin(Role.WORKER) as connection:
        connection.execute(confirm)
    assert looked_for(featured, "d1")[1] == {("AAPL", "2011-03-01")}
    with featured.begin(Role.OWNER) as connection:
        connection.execute(confirm)
        assert connection.execute(text("SELECT confirmed_by = session_user FROM market.confirmed_moves")).scalar_one()
    assert looked_for(featured, "d1")[1] == set()
