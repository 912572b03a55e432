"""When a crontab expression is due: the one module that knows APScheduler.

APScheduler counts weekdays from Monday = 0 and wants both the day of the month and the weekday to fit; cron counts from
Sunday = 0 (7 is Sunday, too) and takes either. So weekdays are handed over by their names, and an expression that names
both kinds of day is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice

from apscheduler.triggers.cron import CronTrigger

from mlops.exceptions import SettingsError

_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_DAYS = re.compile(r"(?:(?P<every>\*)|(?P<first>[a-z]+|\d+)(?:-(?P<last>[a-z]+|\d+))?)(?:/(?P<step>\d+))?")
_FIRST_LOOK = timedelta(hours=1)


class Crontab:
    """The moments, UTC, that a crontab expression names: minute, hour, day of month, month, weekday."""

    def __init__(self, expression: str, name: str) -> None:
        """Read `expression`. Raises SettingsError where it is none, saying that `name` should run then."""
        self.expression = " ".join(expression.split())
        try:
            self._trigger = _trigger(self.expression)
        except ValueError as error:
            raise SettingsError(
                f"{expression!r}, when {name} should run, is not a crontab expression ({error}). "
                "Write five fields: minute hour day month weekday, such as '30 22 * * mon-fri'."
            ) from error

    def next(self, after: datetime) -> datetime | None:
        """Return the first moment after `after` (UTC), None for never."""
        moment: datetime | None = self._trigger.get_next_fire_time(None, after + timedelta(microseconds=1))
        return moment

    def newest(self, after: datetime, until: datetime, n: int) -> list[datetime]:
        """Return the newest `n` of the moments that are after `after` and not after `until`, the oldest first.

        It looks back from `until` over ever longer spans: an expression of every minute costs no more over a year than
        over a day.
        """
        first = self.next(after)
        if first is None or first > until:
            return []
        span = _FIRST_LOOK
        while True:
            begin = max(after, until - span)
            found = list(self._between(begin, until))
            if len(found) >= n or begin == after:
                return found[-n:]
            span *= 4

    def count(self, after: datetime, before: datetime, limit: int) -> int:
        """Return how many moments lie between `after` and `before`, neither counted; `limit` where it is that or more.

        Counting costs a second for every 25,000.
        """
        between = self._between(after, before - timedelta(microseconds=1))
        return sum(1 for _ in islice(between, limit))

    def _between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        moment = self.next(after)
        while moment is not None and moment <= until:
            yield moment
            moment = self.next(moment)


def _trigger(expression: str) -> CronTrigger:
    """Read an expression. Raises ValueError, saying what cannot be read."""
    fields = expression.lower().split()
    if len(fields) != 5:
        raise ValueError(f"it has {len(fields)} fields")
    minute, hour, day, month, weekday = fields
    if not day.startswith("*") and not weekday.startswith("*"):
        raise ValueError("it names both days of the month and weekdays, of which cron takes either: name one of them")
    days = ",".join(name for part in weekday.split(",") for name in _names(part))
    return CronTrigger(minute=minute, hour=hour, day=day, month=month, day_of_week=days, timezone="UTC")


def _names(part: str) -> list[str]:
    """Return the weekdays of one part of the list, such as `1-5`, `mon`, `sat-sun` or `*/2`, by their names."""
    read = _DAYS.fullmatch(part)
    if read is None:
        raise ValueError(f"{part!r} is no weekday")
    first = 0 if read["every"] else _number(read["first"])
    last = 6 if read["every"] or (read["step"] and not read["last"]) else _number(read["last"] or read["first"])
    if last < first:
        last += 7  # sat-sun, and fri-mon
    step = int(read["step"] or 1)
    if step == 0:
        raise ValueError(f"{part!r} has a step of 0")
    return [_WEEKDAYS[number % 7] for number in range(first, last + 1, step)]


def _number(word: str) -> int:
    if word in _WEEKDAYS:
        return _WEEKDAYS.index(word)
    if word.isdigit() and int(word) <= 7:
        return int(word)
    raise ValueError(f"{word!r} is no weekday: sun to sat, or 0 to 7 with Sunday 0 and 7")
