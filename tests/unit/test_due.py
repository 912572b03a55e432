"""What is due of a job, by what is known of its schedule and of its newest run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from jobs.due import COUNTED, MARKED, Due, due
from mlops.warehouse.schedules import Standing

DAILY, EVERY_MINUTE, EVENING = "30 22 * * mon-fri", "* * * * *", "0 20 * * *"
MONDAY = datetime(2017, 7, 3, 22, 30, tzinfo=UTC)
TUESDAY, WEDNESDAY, THURSDAY = (MONDAY + timedelta(days=n) for n in (1, 2, 3))
BEFORE = MONDAY - timedelta(days=30)


def standing(newest: datetime | None, *, succeeded: bool = True, crontab: str = DAILY) -> Standing:
    return Standing(((BEFORE, crontab),), newest, succeeded)


def test_a_first_start_has_missed_nothing() -> None:
    assert due("daily", Standing(((TUESDAY, DAILY),), None, succeeded=False), TUESDAY + timedelta(hours=1)) is None


def test_what_was_due_since_the_first_start_is_due_without_any_run() -> None:
    """A daemon that was killed before its first run had a schedule all the same."""
    first_start = Standing(((MONDAY - timedelta(hours=1), DAILY),), None, succeeded=False)
    assert due("daily", first_start, WEDNESDAY) == Due(WEDNESDAY, (MONDAY, TUESDAY), 0)


def test_nothing_is_due_between_a_success_and_the_next_time() -> None:
    assert due("daily", standing(MONDAY), TUESDAY - timedelta(seconds=1)) is None
    assert due("daily", standing(MONDAY), TUESDAY) == Due(TUESDAY, (), 0)


def test_what_did_not_succeed_is_due_again() -> None:
    assert due("daily", standing(MONDAY, succeeded=False), MONDAY + timedelta(hours=9)) == Due(MONDAY, (), 0)


def test_the_newest_is_due_and_those_before_it_are_missed() -> None:
    late = THURSDAY + timedelta(hours=12)
    assert due("daily", standing(MONDAY), late) == Due(THURSDAY, (TUESDAY, WEDNESDAY), 0)
    assert due("daily", standing(MONDAY, succeeded=False), late) == Due(THURSDAY, (MONDAY, TUESDAY, WEDNESDAY), 0)


def test_a_changed_schedule_makes_nothing_due_in_the_past() -> None:
    changed = Standing(((BEFORE, DAILY), (TUESDAY - timedelta(hours=8), EVERY_MINUTE)), MONDAY, succeeded=True)
    assert due("daily", changed, TUESDAY - timedelta(hours=8)) is None
    found = due("daily", changed, TUESDAY - timedelta(hours=8, minutes=-2))
    assert found == Due(TUESDAY - timedelta(hours=7, minutes=58), (TUESDAY - timedelta(hours=7, minutes=59),), 0)


def test_what_an_earlier_schedule_asked_for_was_due() -> None:
    changed = Standing(((BEFORE, DAILY), (WEDNESDAY - timedelta(hours=8), EVENING)), MONDAY, succeeded=True)
    evening = WEDNESDAY.replace(hour=20, minute=0)
    assert due("daily", changed, WEDNESDAY) == Due(evening, (TUESDAY,), 0)


def test_every_minute_of_a_month_off_is_bounded() -> None:
    found = due("daily", standing(BEFORE, succeeded=False, crontab=EVERY_MINUTE), MONDAY)
    assert found is not None
    assert found.as_of == MONDAY
    assert found.missed == tuple(MONDAY - timedelta(minutes=n) for n in reversed(range(1, MARKED + 1)))
    assert found.unmarked == COUNTED + 1  # with the one that was begun and did not succeed


def test_those_that_are_not_marked_are_counted() -> None:
    found = due("daily", standing(MONDAY, crontab=EVERY_MINUTE), MONDAY + timedelta(minutes=MARKED + 5))
    assert found is not None
    assert (len(found.missed), found.unmarked) == (MARKED, 4)
