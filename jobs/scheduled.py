"""A job of the schedule, and how it is tried again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from jobs.crontab import Crontab
from mlops.exceptions import (
    EmbeddedServerError,
    JobBusyError,
    LockTimeoutError,
    SourceOfflineError,
    SourceThrottledError,
    WarehouseUnreachableError,
)
from mlops.warehouse import Warehouse

PASSES = (
    WarehouseUnreachableError, EmbeddedServerError, SourceOfflineError, SourceThrottledError, JobBusyError,
    LockTimeoutError,
)  # fmt: skip
"""What goes away by itself, so that a job which it stopped is tried again until it has."""


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A job and when it is due. `run` takes the database and the as-of (UTC); whoever runs it writes its row."""

    name: str
    crontab: Crontab
    run: Callable[[Warehouse, datetime], object]


@dataclass(frozen=True, slots=True)
class Pauses:
    """How long to wait before another try: twice as long each time, up to a limit.

    A source that does not answer is left alone for longer, since each try with it leaves a row.
    """

    first: timedelta = timedelta(seconds=10)
    longest: timedelta = timedelta(minutes=5)
    longest_of_source: timedelta = timedelta(hours=1)

    def after(self, tries: int, error: Exception) -> timedelta:
        """Return the pause after the `tries`-th try that failed, from 1, with `error`."""
        of_source = isinstance(error, SourceOfflineError | SourceThrottledError)
        longest = self.longest_of_source if of_source else self.longest
        return min(self.first * (1 << min(tries - 1, 20)), longest)
