"""Calendars that were recorded while 25 December and 1 January were sessions of currencies."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest
from databases import database, take_back
from sqlalchemy import text

from mlops.domain import Role
from mlops.sources import calendars
from mlops.warehouse import Warehouse
from mlops.warehouse.databases import beside
from mlops.warehouse.migrate import migrate

NOW = datetime(2018, 1, 3, tzinfo=UTC)


@pytest.fixture
def before(server_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    """A database with the calendar as it was: every weekday, the years before 2014 added later."""
    with database(server_url, "template0") as name, Warehouse(beside(server_url, name)) as warehouse:
        migrate(warehouse)
        take_back(warehouse, "0007")
        monkeypatch.setattr(calendars, "_HOLIDAYS", {})
        calendars._calendar.cache_clear()
        for oldest in (date(2014, 6, 2), date(2012, 6, 1)):
            with warehouse.begin() as connection:
                for exchange in ("24/5", "XNYS"):
                    calendars.extend_sessions(connection, exchange, oldest, NOW)
        yield warehouse
        monkeypatch.undo()
        calendars._calendar.cache_clear()


def sessions(warehouse: Warehouse, exchange: str = "24/5") -> list[tuple[date, int]]:
    with warehouse.begin() as connection:
        query = text("SELECT session, ordinal FROM market.sessions WHERE exchange = :exchange ORDER BY session")
        return [(row.session, row.ordinal) for row in connection.execute(query, {"exchange": exchange})]


def is_holiday(day: date) -> bool:
    return (day.month, day.day) in {(12, 25), (1, 1)}


def test_the_holidays_go_and_the_ordinals_are_consecutive_again(
    before: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    was, stocks = sessions(before), sessions(before, "XNYS")
    assert sum(is_holiday(day) for day, _ in was) > 8
    migrate(before)
    now = sessions(before)
    assert [day for day, _ in now] == [day for day, _ in was if not is_holiday(day)]
    first = was[0][1]
    assert first < 0
    assert [ordinal for _, ordinal in now] == list(range(first, first + len(now)))
    assert sessions(before, "XNYS") == stocks

    # And so it stays where the calendar grows on.
    monkeypatch.undo()
    calendars._calendar.cache_clear()
    with before.begin() as connection:
        calendars.extend_sessions(connection, "24/5", date(2012, 6, 1), datetime(2018, 9, 3, tzinfo=UTC))
    grown = sessions(before)
    assert grown[-1][0] > now[-1][0]
    assert not any(is_holiday(day) for day, _ in grown)
    assert [ordinal for _, ordinal in grown] == list(range(first, first + len(grown)))


def test_a_session_that_somebody_has_a_daily_bar_of_stays(before: Warehouse) -> None:
    with before.begin(Role.OWNER) as connection:
        connection.execute(
            text(
                "INSERT INTO market.symbols (ticker, asset_class, exchange, timezone) "
                "VALUES ('EURUSD', 'fx', '24/5', 'UTC')"
            )
        )
        connection.execute(
            text(
                "INSERT INTO market.bars (symbol_id, timeframe, ts, open, high, low, close, known_at, recorded_at) "
                "SELECT 1, 'd1', opens_at, 1.22, 1.23, 1.21, 1.22, closes_at, now() "
                "FROM market.sessions WHERE exchange = '24/5' AND session = '2014-12-25'"
            )
        )
    migrate(before)
    assert [day for day, _ in sessions(before) if is_holiday(day)] == [date(2014, 12, 25)]
