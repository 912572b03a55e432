"""A job kept to its schedule: what is run, marked and tried again, by the rows that an analyst reads."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from jobs.crontab import Crontab
from jobs.keeper import Keeper, OpenWarehouse
from jobs.scheduled import Pauses, Scheduled
from mlops import checks
from mlops.domain import Role
from mlops.exceptions import (
    FeaturesError,
    GateClosedError,
    SourceOfflineError,
    SourceThrottledError,
    WarehouseError,
    WarehouseUnreachableError,
)
from mlops.features import build
from mlops.warehouse import Warehouse
from mlops.warehouse.bookkeeping import job_run

DAILY = "30 22 * * mon-fri"
MONDAY = datetime(2017, 7, 3, 22, 30, tzinfo=UTC)
TUESDAY, WEDNESDAY, THURSDAY, FRIDAY = (MONDAY + timedelta(days=n) for n in (1, 2, 3, 4))
NEXT_MONDAY = MONDAY + timedelta(days=7)
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
A_SECOND, AN_HOUR = timedelta(seconds=1), timedelta(hours=1)

Body = Callable[[Warehouse, datetime], object]


class Clock:
    """A clock that a test sets."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at


class Days:
    """A daemon's keeper of `daily`, and the database that it works on, as days go by."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.clock = Clock(MONDAY - AN_HOUR)
        self.ran: list[datetime] = []
        self.errors: list[Exception] = []
        self.start()

    def start(self, crontab: str = DAILY, body: Body | None = None, opened: OpenWarehouse | None = None) -> Keeper:
        """Start a daemon: nothing is remembered of an earlier one but what is in the database."""
        job = Scheduled("daily", Crontab(crontab, "daily"), body or self.body)
        self.keeper = Keeper(job, opened or (lambda: Warehouse(self.url)), self.clock)
        return self.keeper

    def body(self, _: Warehouse, as_of: datetime) -> None:
        """Fail with what a test has planted, one error a run; else note that it ran."""
        if self.errors:
            raise self.errors.pop(0)
        self.ran.append(as_of)

    def at(self, moment: datetime) -> None:
        """Let it be `moment`, and the keeper do what is due then."""
        self.clock.at = moment
        assert self.keeper.at is not None
        if self.keeper.at <= moment:
            self.keeper.attempt(lambda: nullcontext(True))

    def rows(self) -> list[tuple[str, int, str]]:
        """As-of (weekday and time), attempt and state of each run, in order."""
        return [(f"{row.as_of:%a %H:%M}", row.attempt, row.state) for row in self.read()]

    def read(self) -> list[Any]:
        with Warehouse(self.url) as warehouse, warehouse.begin() as connection:
            connection.execute(text("SET LOCAL timezone = 'UTC'"))
            return list(connection.execute(text("SELECT * FROM monitoring.job_runs ORDER BY as_of, attempt")))

    def error_of(self, as_of: datetime, attempt: int = 1) -> str:
        return next(str(row.error) for row in self.read() if (row.as_of, row.attempt) == (as_of, attempt))


@pytest.fixture
def days(database_url: str) -> Days:
    """It is Monday, an hour before the first daily is due, and a daemon starts on an empty database."""
    days = Days(database_url)
    days.at(MONDAY - AN_HOUR)
    return days


@contextmanager
def lines_of(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    lines: list[str] = []
    with caplog.at_level(logging.INFO, logger="forecastle.daemon"):
        yield lines
        lines.extend(record.getMessage() for record in caplog.records)


# What is due --------------------------------------------------------------------------------------------------------


def test_a_first_start_runs_and_marks_nothing(days: Days) -> None:
    assert days.rows() == []
    assert days.keeper.at == MONDAY


def test_a_run_is_as_of_when_it_was_due(days: Days) -> None:
    days.at(MONDAY + timedelta(minutes=7))
    assert days.ran == [MONDAY]
    assert [(row.as_of, row.state, row.scheduled) for row in days.read()] == [(MONDAY, "succeeded", True)]
    assert days.keeper.at == TUESDAY
    days.start()
    days.at(MONDAY + timedelta(minutes=8))
    assert days.ran == [MONDAY]


def test_after_a_week_off_the_newest_is_run_and_the_others_are_marked(days: Days) -> None:
    days.at(MONDAY)
    days.clock.at = NEXT_MONDAY - AN_HOUR
    days.start()
    days.at(NEXT_MONDAY - AN_HOUR)
    assert days.ran == [MONDAY, FRIDAY]
    assert days.rows() == [
        ("Mon 22:30", 1, "succeeded"),
        ("Tue 22:30", 1, "missed"),
        ("Wed 22:30", 1, "missed"),
        ("Thu 22:30", 1, "missed"),
        ("Fri 22:30", 1, "succeeded"),
    ]
    for row in days.read()[1:4]:
        assert row.scheduled
        assert row.finished_at is not None
        assert f"`forecastle schedule run --once daily --as-of {row.as_of.isoformat()}`" in row.error
    days.start()
    days.at(NEXT_MONDAY - AN_HOUR)
    assert len(days.rows()) == 5


def test_a_daemon_that_was_killed_before_its_first_run_has_missed_days(days: Days) -> None:
    days.clock.at = WEDNESDAY + AN_HOUR
    days.start()
    days.at(WEDNESDAY + AN_HOUR)
    assert days.rows() == [("Mon 22:30", 1, "missed"), ("Tue 22:30", 1, "missed"), ("Wed 22:30", 1, "succeeded")]


def test_a_missed_run_that_is_made_up_by_hand_is_not_marked_again(days: Days) -> None:
    days.at(MONDAY)
    with Warehouse(days.url) as warehouse, job_run(warehouse, "daily", TUESDAY):
        pass
    days.at(THURSDAY)
    assert days.rows() == [
        ("Mon 22:30", 1, "succeeded"),
        ("Tue 22:30", 1, "succeeded"),
        ("Wed 22:30", 1, "missed"),
        ("Thu 22:30", 1, "succeeded"),
    ]


def test_what_was_run_by_hand_for_the_due_moment_is_not_run_again(days: Days) -> None:
    with Warehouse(days.url) as warehouse, job_run(warehouse, "daily", MONDAY):
        pass
    days.at(MONDAY)
    assert days.ran == []
    assert days.keeper.at == TUESDAY


def test_a_moment_that_passes_while_nothing_was_due_is_not_lost(days: Days) -> None:
    """The keeper looks a second before the job is due, and is done with that a second after."""
    times = iter([MONDAY - A_SECOND, MONDAY + A_SECOND])
    days.keeper._now = lambda: next(times, MONDAY + A_SECOND)
    days.keeper.attempt(lambda: nullcontext(True))
    assert days.keeper.at == MONDAY
    days.at(MONDAY + A_SECOND)
    assert days.ran == [MONDAY]


def test_a_clock_that_was_ahead_at_the_first_start_hides_no_day(database_url: str) -> None:
    days = Days(database_url)
    days.clock.at = MONDAY + timedelta(days=30)
    days.start()
    days.at(days.clock.at)
    days.keeper.at = MONDAY - AN_HOUR  # so does the daemon when it sees that the clock was set back
    days.at(MONDAY - AN_HOUR)
    days.at(MONDAY)
    assert days.ran == [MONDAY]


def test_runs_of_a_clock_that_was_ahead_hide_no_day(days: Days) -> None:
    days.at(THURSDAY)
    assert days.ran == [THURSDAY]
    days.keeper.at = MONDAY - AN_HOUR
    days.at(MONDAY - AN_HOUR)
    days.at(MONDAY)
    assert days.ran == [THURSDAY, MONDAY]
    assert days.rows()[:2] == [("Mon 22:30", 1, "missed"), ("Mon 22:30", 2, "succeeded")]


def test_every_minute_after_a_year_off(days: Days, caplog: pytest.LogCaptureFixture) -> None:
    days.clock.at = MONDAY - timedelta(seconds=30)
    days.start("* * * * *")
    days.at(MONDAY)
    days.clock.at = MONDAY + timedelta(days=365)
    began = time.monotonic()
    days.start("* * * * *")
    with lines_of(caplog) as lines:
        days.at(days.clock.at)
    assert time.monotonic() - began < 15
    states = [row.state for row in days.read()]
    assert (states.count("missed"), states.count("succeeded")) == (366, 2)
    assert days.ran == [MONDAY, MONDAY + timedelta(days=365)]
    assert any("missed 366 from" in line and "at least 10,000 more before them" in line for line in lines)
    oldest = min(row.as_of for row in days.read() if row.state == "missed")
    assert "Before it at least 10,000 more were due that have no row." in days.error_of(oldest)


def test_a_changed_crontab_makes_nothing_due_in_the_past(days: Days) -> None:
    days.at(MONDAY)
    days.clock.at = TUESDAY - AN_HOUR
    days.start("0 * * * *")
    days.at(TUESDAY - AN_HOUR)
    assert days.rows() == [("Mon 22:30", 1, "succeeded")]
    days.at(TUESDAY)
    assert days.rows() == [("Mon 22:30", 1, "succeeded"), ("Tue 22:00", 1, "succeeded")]


# What goes wrong ----------------------------------------------------------------------------------------------------


def test_a_failed_run_is_not_repeated_by_itself_but_at_a_start(days: Days) -> None:
    days.errors = [GateClosedError()]
    days.at(MONDAY)
    assert days.keeper.at == TUESDAY
    assert days.rows() == [("Mon 22:30", 1, "failed")]
    days.start()
    days.at(MONDAY + AN_HOUR)
    assert days.rows() == [("Mon 22:30", 1, "failed"), ("Mon 22:30", 2, "succeeded")]


def test_a_failed_run_stays_failed_when_the_next_is_due(days: Days) -> None:
    days.errors = [GateClosedError()]
    days.at(MONDAY)
    days.at(TUESDAY)
    assert days.rows() == [("Mon 22:30", 1, "failed"), ("Tue 22:30", 1, "succeeded")]


def test_a_mistake_is_a_failed_run_and_not_the_end_of_the_daemon(days: Days) -> None:
    days.errors = [ZeroDivisionError("division by zero")]
    days.at(MONDAY)
    assert days.error_of(MONDAY) == "ZeroDivisionError: division by zero"
    assert days.keeper.at == TUESDAY


def test_a_source_that_is_offline_is_asked_again_until_it_answers(days: Days) -> None:
    days.errors = [SourceOfflineError(), SourceThrottledError(), SourceOfflineError()]
    moment, pauses = MONDAY, []
    while days.keeper.at < TUESDAY:  # type: ignore[operator]
        days.at(moment)
        assert days.keeper.at is not None
        pauses.append((days.keeper.at - moment).total_seconds())
        moment = days.keeper.at
    assert pauses[:3] == [10, 20, 40]
    assert [state for _, _, state in days.rows()] == ["failed", "failed", "failed", "succeeded"]
    assert days.ran == [MONDAY]


def test_pauses_grow_up_to_a_limit() -> None:
    pauses = Pauses()
    down, offline = WarehouseUnreachableError(), SourceOfflineError()
    assert [pauses.after(n, down).total_seconds() for n in (1, 2, 5, 6, 1000)] == [10, 20, 160, 300, 300]
    assert [pauses.after(n, offline).total_seconds() for n in (1, 9, 10, 1000)] == [10, 2560, 3600, 3600]


def test_no_database_is_tried_again_and_told_of_once_it_can_be_written(days: Days) -> None:
    url, days.url = days.url, NOWHERE
    days.at(MONDAY)
    assert days.keeper.at == MONDAY + 10 * A_SECOND
    days.at(MONDAY + 10 * A_SECOND)
    assert days.keeper.at == MONDAY + 30 * A_SECOND
    days.url = url
    days.at(MONDAY + 30 * A_SECOND)
    assert days.rows() == [("Mon 22:30", 1, "failed"), ("Mon 22:30", 2, "succeeded")]
    outage = days.read()[0]
    assert (outage.started_at, outage.finished_at) == (MONDAY, MONDAY + 10 * A_SECOND)
    assert "WarehouseUnreachableError: No database answers at 127.0.0.1:1" in outage.error
    assert "Tried 2 times from 2017-07-03 22:30:00 to 2017-07-03 22:30:10 UTC" in outage.error
    assert days.keeper.at == TUESDAY


def test_an_outage_over_days_leaves_the_days_marked(days: Days) -> None:
    url, days.url = days.url, NOWHERE
    for moment in (MONDAY, TUESDAY - A_SECOND, TUESDAY, WEDNESDAY - A_SECOND):
        days.at(moment)
    assert days.keeper.at == WEDNESDAY
    days.url = url
    days.at(WEDNESDAY)
    assert days.rows() == [("Mon 22:30", 1, "missed"), ("Tue 22:30", 1, "missed"), ("Wed 22:30", 1, "succeeded")]
    assert "Tried 4 times from 2017-07-03 22:30:00 to 2017-07-05 22:29:59 UTC" in days.error_of(MONDAY)


def cut_all_connections(warehouse: Warehouse) -> None:
    """End every session of the database but the one that does it, as a crash of the server does."""
    with warehouse.begin(role=None) as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
        )


def test_a_run_that_loses_its_connections_is_tried_again_whatever_it_says(days: Days) -> None:
    """The server crashed and was back at once; dbt says that it could not build, which by itself is no outage."""
    ran = []

    def body(warehouse: Warehouse, _: datetime) -> None:
        ran.append(1)
        if len(ran) == 1:
            cut_all_connections(warehouse)
            raise FeaturesError("dbt could not build technical: server closed the connection unexpectedly.")

    days.start(body=body)
    days.at(MONDAY)
    assert days.keeper.at == MONDAY + 10 * A_SECOND
    assert days.error_of(MONDAY).startswith("FeaturesError: dbt could not build technical")
    days.at(MONDAY + 10 * A_SECOND)
    assert days.rows() == [("Mon 22:30", 1, "failed"), ("Mon 22:30", 2, "succeeded")]


def test_dbt_and_the_checks_find_a_server_again(featured: Warehouse) -> None:
    """Both keep what they have read in this process; neither may keep a connection."""
    as_of = datetime(2013, 2, 28, 22, 30, tzinfo=UTC)
    for _ in range(2):
        build(featured)
        assert checks.daily(featured, as_of).passed
        cut_all_connections(featured)


def test_a_run_whose_row_cannot_be_closed_is_tried_again(days: Days) -> None:
    """What it failed with is told in the log; the next attempt closes the row."""

    def body(warehouse: Warehouse, _: datetime) -> None:
        with warehouse.begin(Role.OWNER) as connection:
            connection.execute(text("REVOKE UPDATE ON monitoring.job_runs FROM forecastle_worker"))
        raise FeaturesError("the first error")

    days.start(body=body)
    days.at(MONDAY)
    assert days.rows() == [("Mon 22:30", 1, "running")]
    with Warehouse(days.url) as warehouse, warehouse.begin(Role.OWNER) as connection:
        connection.execute(text("GRANT UPDATE ON monitoring.job_runs TO forecastle_worker"))
    assert days.keeper.at == MONDAY + 10 * A_SECOND
    days.start()
    days.at(MONDAY + 10 * A_SECOND)
    assert days.rows() == [("Mon 22:30", 1, "abandoned"), ("Mon 22:30", 2, "succeeded")]


def test_the_first_error_is_the_one_that_is_raised(warehouse: Warehouse) -> None:
    with pytest.raises(ValueError, match="the first"), job_run(warehouse, "forecast", MONDAY):
        cut_all_connections(warehouse)
        raise ValueError("the first")
    with pytest.raises(ValueError, match="the first"), job_run(warehouse, "forecast", MONDAY) as attempt:
        with warehouse.begin(Role.OWNER) as connection:
            connection.execute(text("REVOKE UPDATE ON monitoring.job_runs FROM forecastle_worker"))
        raise ValueError("the first")
    assert not attempt.closed


def test_a_success_that_cannot_be_written_is_no_success(days: Days) -> None:
    def body(warehouse: Warehouse, _: datetime) -> None:
        with warehouse.begin(Role.OWNER) as connection:
            connection.execute(text("REVOKE UPDATE ON monitoring.job_runs FROM forecastle_worker"))

    days.start(body=body)
    days.at(MONDAY)
    assert days.keeper.at == MONDAY + 10 * A_SECOND


# Two at once --------------------------------------------------------------------------------------------------------


def test_of_two_daemons_one_runs_and_marks(days: Days) -> None:
    days.at(MONDAY)
    begun, go_on = threading.Event(), threading.Event()

    def body(_: Warehouse, as_of: datetime) -> None:
        begun.set()
        assert go_on.wait(30)
        days.ran.append(as_of)

    days.clock.at = WEDNESDAY
    one, other = days.start(body=body), days.start(body=body)
    thread = threading.Thread(target=one.attempt, args=[lambda: nullcontext(True)])
    thread.start()
    assert begun.wait(30)
    other.attempt(lambda: nullcontext(True))
    expected = [("Mon 22:30", 1, "succeeded"), ("Tue 22:30", 1, "missed"), ("Wed 22:30", 1, "running")]
    assert days.rows() == expected
    assert other.at == WEDNESDAY + 10 * A_SECOND
    go_on.set()
    thread.join(30)
    other.attempt(lambda: nullcontext(True))
    assert days.rows() == [*expected[:2], ("Wed 22:30", 1, "succeeded")]
    assert days.ran == [MONDAY, WEDNESDAY]
    assert other.at == one.at == THURSDAY


def test_a_daemon_that_comes_while_another_is_about_to_end_finds_it_done(days: Days) -> None:
    """It waits a moment for the lock, as for that of a killed worker; what was due before the wait is no longer."""
    begun = threading.Event()

    def body(_: Warehouse, as_of: datetime) -> None:
        days.ran.append(as_of)
        begun.set()
        time.sleep(0.5)

    days.clock.at = MONDAY
    one, other = days.start(body=body), days.start(body=body)
    thread = threading.Thread(target=one.attempt, args=[lambda: nullcontext(True)])
    thread.start()
    assert begun.wait(30)
    other.attempt(lambda: nullcontext(True))
    thread.join(30)
    assert days.ran == [MONDAY]
    assert days.rows() == [("Mon 22:30", 1, "succeeded")]


def test_a_run_by_hand_at_the_same_time_is_waited_for(days: Days) -> None:
    with Warehouse(days.url) as warehouse, job_run(warehouse, "daily", MONDAY - AN_HOUR):
        days.at(MONDAY)
        assert days.keeper.at == MONDAY + 10 * A_SECOND
    days.at(MONDAY + 10 * A_SECOND)
    assert days.rows() == [("Mon 21:30", 1, "succeeded"), ("Mon 22:30", 1, "succeeded")]


def test_when_the_daemon_is_ending_nothing_is_begun(days: Days) -> None:
    days.clock.at = MONDAY
    days.keeper.attempt(lambda: nullcontext(False))
    assert days.rows() == []


def test_the_worker_cannot_change_what_the_schedule_was(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseError, match="permission denied"), warehouse.begin() as connection:
        connection.execute(text("UPDATE monitoring.schedules SET since = now()"))
