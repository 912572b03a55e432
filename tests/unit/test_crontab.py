"""Crontab expressions: as cron reads them, and as quickly as a daemon needs them."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from jobs.crontab import Crontab
from mlops.exceptions import SettingsError

FRIDAY = datetime(2017, 6, 30, 22, 31, tzinfo=UTC)
YEAR = timedelta(days=365)


def weekdays(field: str) -> list[str]:
    """The days of a week on which the weekday `field` is due, from Sunday on."""
    crontab = Crontab(f"30 22 * * {field}", "daily")
    moments = crontab.newest(datetime(2017, 7, 1, 23, tzinfo=UTC), datetime(2017, 7, 8, 23, tzinfo=UTC), 10)
    return [f"{moment:%a}" for moment in moments]


def test_next_is_in_utc_and_on_a_weekday() -> None:
    crontab = Crontab("30 22 * * mon-fri", "daily")
    monday = datetime(2017, 7, 3, 22, 30, tzinfo=UTC)
    assert crontab.next(FRIDAY) == monday
    assert crontab.next(monday) == monday + timedelta(days=1)


@pytest.mark.parametrize(
    ("field", "days"),
    [
        ("1-5", ["Mon", "Tue", "Wed", "Thu", "Fri"]),
        ("MON-fri", ["Mon", "Tue", "Wed", "Thu", "Fri"]),
        ("0", ["Sun"]),
        ("7", ["Sun"]),
        ("6,7", ["Sun", "Sat"]),
        ("fri-mon", ["Sun", "Mon", "Fri", "Sat"]),
        ("*/2", ["Sun", "Tue", "Thu", "Sat"]),
        ("1-5/2", ["Mon", "Wed", "Fri"]),
        ("*", ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]),
    ],
)
def test_weekdays_are_those_of_cron(field: str, days: list[str]) -> None:
    """APScheduler takes 1-5 for Tuesday to Saturday: every Monday would be lost."""
    assert weekdays(field) == days


@pytest.mark.parametrize(
    "expression", ["", "never", "61 22 * * *", "30 22 * *", "0 22 * * 8", "0 22 * * moon", "0 22 * * 1-5/0"]
)
def test_a_wrong_expression_is_refused_by_name(expression: str) -> None:
    with pytest.raises(SettingsError, match="when daily should run, is not a crontab expression"):
        Crontab(expression, "daily")


def test_days_of_month_and_weekdays_at_once_are_refused() -> None:
    """Cron takes either of them, APScheduler both."""
    with pytest.raises(SettingsError, match="name one of them"):
        Crontab("0 3 1 * mon", "retrain")


def test_newest_are_the_last_ones_up_to_a_moment() -> None:
    crontab = Crontab("30 22 * * mon-fri", "daily")
    due = datetime(2017, 6, 30, 22, 30, tzinfo=UTC)
    assert crontab.newest(FRIDAY - timedelta(days=365), FRIDAY, 2) == [due - timedelta(days=1), due]
    assert crontab.newest(due - timedelta(days=1), due, 9) == [due]
    assert crontab.newest(due, FRIDAY, 9) == []
    every = crontab.newest(FRIDAY - YEAR, FRIDAY, 1000)
    assert len(every) == crontab.count(FRIDAY - YEAR, FRIDAY, 1000) == 261


def test_every_minute_of_a_year_is_not_walked_through() -> None:
    crontab = Crontab("* * * * *", "daily")
    began = time.monotonic()
    newest = crontab.newest(FRIDAY - YEAR, FRIDAY, 367)
    assert newest == [FRIDAY - timedelta(minutes=n) for n in reversed(range(367))]
    assert crontab.count(FRIDAY - YEAR, newest[0], 10_000) == 10_000
    assert time.monotonic() - began < 5  # half a million minutes take 20


def test_a_day_that_never_comes() -> None:
    crontab = Crontab("0 0 30 2 *", "daily")
    assert crontab.next(FRIDAY) is None
    assert crontab.newest(FRIDAY - YEAR, FRIDAY, 9) == []
