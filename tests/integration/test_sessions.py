"""The trading calendar in SQL: as exchange-calendars has it, growing at both ends without a past session renumbered."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import exchange_calendars
import pandas as pd
import pytest
from sqlalchemy import text

from mlops.exceptions import SourceError
from mlops.sources.calendars import exchange_named, exchange_timezone, extend_sessions
from mlops.warehouse import Warehouse

NOW = datetime(2017, 7, 20, 12, tzinfo=UTC)


def sessions(warehouse: Warehouse, exchange: str = "XNYS") -> list[Any]:
    with warehouse.begin() as connection:
        query = text("SELECT * FROM market.sessions WHERE exchange = :exchange ORDER BY session")
        return list(connection.execute(query, {"exchange": exchange}).all())


def extend(warehouse: Warehouse, oldest: date, now: datetime = NOW, exchange: str = "XNYS") -> list[Any]:
    with warehouse.begin() as connection:
        extend_sessions(connection, exchange, oldest, now)
    return sessions(warehouse, exchange)


@pytest.mark.parametrize("exchange", ["XNYS", "XLON", "XTKS", "24/5", "24/7", "CMES"])
def test_sessions_are_those_of_exchange_calendars(warehouse: Warehouse, exchange: str) -> None:
    got = extend(warehouse, date(2015, 3, 2), exchange=exchange)
    schedule = exchange_calendars.get_calendar(exchange, start=got[0].session, end=got[-1].session).schedule
    if exchange == "24/5":  # where it has every weekday
        schedule = schedule[~schedule.index.strftime("%m-%d").isin(["12-25", "01-01"])]
    assert [(pd.Timestamp(row.session), row.opens_at, row.closes_at) for row in got] == [
        (session, opens.to_pydatetime(), closes.to_pydatetime())
        for session, opens, closes in zip(schedule.index, schedule["open"], schedule["close"], strict=True)
    ]
    assert got[0].session <= date(2015, 3, 2)
    assert got[-1].session >= NOW.date() + timedelta(days=300)
    assert [row.ordinal for row in got] == list(range(len(got)))


def test_growing_at_both_ends_renumbers_nothing(warehouse: Warehouse) -> None:
    first = extend(warehouse, date(2016, 5, 2))
    assert extend(warehouse, date(2016, 5, 2)) == first
    older = extend(warehouse, date(2012, 8, 13))
    assert older[-len(first) :] == first
    newer = extend(warehouse, date(2012, 8, 13), NOW + timedelta(days=200))
    assert newer[: len(older)] == older
    assert newer[-1].session >= NOW.date() + timedelta(days=500)
    ordinals = [row.ordinal for row in newer]
    assert ordinals == list(range(ordinals[0], ordinals[0] + len(newer)))
    assert ordinals[0] < 0


def test_a_holiday_announced_later_arrives_when_the_calendar_grows(warehouse: Warehouse) -> None:
    truth = extend(warehouse, date(2016, 5, 2))
    with warehouse.begin(role=None) as connection:
        # As if the package had not known Thanksgiving when the table was filled: one session too many
        connection.execute(text("UPDATE market.sessions SET ordinal = ordinal + 100000 WHERE session > '2017-11-23'"))
        connection.execute(
            text(
                "INSERT INTO market.sessions SELECT exchange, '2017-11-23', opens_at + interval '1 day', "
                "closes_at + interval '1 day', ordinal + 1 FROM market.sessions WHERE session = '2017-11-22'"
            )
        )
        connection.execute(text("UPDATE market.sessions SET ordinal = ordinal - 99999 WHERE session > '2017-11-23'"))
    assert len(sessions(warehouse)) == len(truth) + 1
    later = extend(warehouse, date(2016, 5, 2), NOW + timedelta(days=100))
    assert later[: len(truth)] == truth


def test_it_begins_before_the_oldest_bar_around_new_year(warehouse: Warehouse) -> None:
    for days in range(45):
        oldest = date(2012, 12, 20) + timedelta(days=days)
        with warehouse.begin(role=None) as connection:
            connection.execute(text("TRUNCATE market.sessions"))
        assert extend(warehouse, oldest)[0].session <= oldest


def test_where_a_calendar_begins_late_nothing_is_older(warehouse: Warehouse) -> None:
    exchange, bound = next(
        (name, calendar.bound_min())
        for name in exchange_calendars.get_calendar_names(include_aliases=False)
        if (calendar := exchange_calendars.calendar_utils._default_calendar_factories[name]).bound_min() is not None
    )
    got = extend(warehouse, bound.date() - timedelta(days=500), exchange=exchange)
    assert got[0].session >= bound.date()
    assert extend(warehouse, bound.date() - timedelta(days=500), exchange=exchange) == got


def test_exchanges_are_known_by_name_and_alias() -> None:
    assert exchange_named("XNYS") == "XNYS"
    assert exchange_named("NYSE") == "XNYS"
    assert exchange_timezone("XLON") == "Europe/London"
    with pytest.raises(SourceError, match=r"knows no exchange 'XNYY'. Perhaps .*XNYS"):
        exchange_named("XNYY")
