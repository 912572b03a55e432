"""Weekly bars: which week a date is of, when a week is known, and when the weeks ahead end."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from small_world import register
from sqlalchemy import text

from mlops import checks
from mlops.features import build
from mlops.forecasting import forecast
from mlops.outcomes import resolve
from mlops.sources import FileSource, ingest_bars
from mlops.warehouse import Warehouse

BARS = "SELECT ts, known_at, close FROM market.bars ORDER BY ts"


def taken(warehouse: Warehouse, folder: Path, days: dict[str, float], **options: Any) -> Any:
    """Ingest weekly bars of AAPL, one for each of `days`, with that close."""
    file = folder / f"weekly_{len(list(folder.iterdir()))}.csv"
    lines = [
        f"AAPL,{day},{close},{close + 1},{close - 1},{close},{100 + i % 7}"
        for i, (day, close) in enumerate(days.items())
    ]
    file.write_text("symbol,date,open,high,low,close,volume\n" + "\n".join(lines) + "\n")
    return ingest_bars(warehouse, FileSource(file), timeframe="w1", **options)


def query(warehouse: Warehouse, statement: str, **parameters: object) -> list[Any]:
    with warehouse.begin() as connection:
        return list(connection.execute(text(statement), parameters).all())


@pytest.mark.parametrize("day", ["2017-04-10", "2017-04-12", "2017-04-14", "2017-04-16"])
def test_any_date_of_a_week_means_that_week(warehouse: Warehouse, tmp_path: Path, day: str) -> None:
    """14 April 2017 was Good Friday: the week ends on Thursday, at 16:00 in New York."""
    assert taken(warehouse, tmp_path, {day: 140.0}).counts["new"] == 1
    assert [tuple(row) for row in query(warehouse, BARS)] == [
        (datetime(2017, 4, 10, 13, 30, tzinfo=UTC), datetime(2017, 4, 13, 20, tzinfo=UTC), 140.0)
    ]


def test_a_week_begins_with_its_first_session(warehouse: Warehouse, tmp_path: Path) -> None:
    """29 May 2017 was Memorial Day."""
    taken(warehouse, tmp_path, {"2017-05-29": 140.0})
    assert query(warehouse, BARS)[0].ts == datetime(2017, 5, 30, 13, 30, tzinfo=UTC)


def test_a_week_is_there_once(warehouse: Warehouse, tmp_path: Path) -> None:
    counts = taken(warehouse, tmp_path, {"2017-04-10": 140.0, "2017-04-13": 141.0}).counts
    assert (counts["new"], counts["rejected"]) == (1, 1)
    assert taken(warehouse, tmp_path, {"2017-04-11": 142.0}).counts["changed"] == 1
    assert [row.close for row in query(warehouse, BARS)] == [142.0]


def test_a_week_that_is_going_on_is_not_taken_in(warehouse: Warehouse, tmp_path: Path) -> None:
    thursday = datetime(2017, 4, 13, 19, 59, tzinfo=UTC)
    days = {f"2017-03-{day}": 139.0 for day in ("06", "13", "20", "27")} | {"2017-04-03": 140.0, "2017-04-10": 140.0}
    ingested = taken(warehouse, tmp_path, days, now=thursday)
    assert (ingested.counts["new"], ingested.counts["rejected"]) == (5, 1)
    assert "future" in str(ingested.reasons) or "known" in str(ingested.reasons)


def test_weeks_are_made_of_the_sessions(warehouse: Warehouse, tmp_path: Path) -> None:
    taken(warehouse, tmp_path, {"1999-01-04": 40.0, "2017-04-10": 140.0})
    days = pd.DataFrame(query(warehouse, "SELECT session, opens_at, closes_at FROM market.sessions ORDER BY session"))
    iso = pd.to_datetime(days.session).dt.isocalendar()
    expected = days.groupby([iso.year, iso.week]).agg(
        session=("session", "first"), opens_at=("opens_at", "first"), closes_at=("closes_at", "last")
    )
    weeks = pd.DataFrame(
        query(
            warehouse,
            "SELECT session, opens_at, closes_at, ordinal FROM market.calendar WHERE rule = 'week' ORDER BY 4",
        )
    )
    assert weeks.drop(columns="ordinal").to_numpy().tolist() == expected.to_numpy().tolist()
    assert weeks.ordinal.tolist() == list(range(1, len(expected) + 1))
    assert len(expected) > 900


def test_weeks_are_built_checked_forecast_and_resolved(warehouse: Warehouse, tmp_path: Path) -> None:
    fridays = pd.date_range("2015-01-02", "2017-04-21", freq="W-FRI")
    taken(warehouse, tmp_path, {f"{day.date()}": 100 + (7 * i) % 11 for i, day in enumerate(fridays)})
    build(warehouse)
    as_of = datetime(2017, 3, 18, tzinfo=UTC)
    register(warehouse, datetime(2016, 12, 31, tzinfo=UTC), timeframe="w1", horizons=(1, 4))
    findings = checks.daily(warehouse, as_of, "w1")
    assert [result.expectation for result in findings.results if not result.success] == []

    assert forecast(warehouse, as_of).versions[0].made == 2
    made = query(warehouse, "SELECT horizon, as_of, target_ts FROM ml.predictions ORDER BY horizon")
    assert [(row.horizon, row.as_of.date(), row.target_ts) for row in made] == [
        (1, date(2017, 3, 17), datetime(2017, 3, 24, 20, tzinfo=UTC)),
        (4, date(2017, 3, 17), datetime(2017, 4, 13, 20, tzinfo=UTC)),
    ]
    assert resolve(warehouse, datetime(2017, 4, 13, 20, tzinfo=UTC)).resolved == 2
    outcomes = query(warehouse, "SELECT horizon, known_at, actual FROM ml.outcomes ORDER BY horizon")
    closes = {row.known_at: row.close for row in query(warehouse, BARS)}
    assert [row.known_at for row in outcomes] == [row.target_ts for row in made]
    assert [row.actual for row in outcomes] == [closes[row.target_ts] / closes[row.as_of] - 1 for row in made]


def test_a_symbol_without_a_bar_for_six_weeks_is_stale(warehouse: Warehouse, tmp_path: Path) -> None:
    fridays = pd.date_range("2015-01-02", "2016-12-30", freq="W-FRI")
    taken(warehouse, tmp_path, {f"{day.date()}": 100 + (7 * i) % 11 for i, day in enumerate(fridays)})
    build(warehouse)
    register(warehouse, datetime(2016, 12, 31, tzinfo=UTC), timeframe="w1", horizons=(1, 4))
    assert forecast(warehouse, datetime(2017, 2, 4, tzinfo=UTC)).versions[0].made == 2
    late = forecast(warehouse, datetime(2017, 2, 11, tzinfo=UTC)).versions[0]
    assert (late.symbols, dict(late.refused)) == (0, {"stale": 1})
