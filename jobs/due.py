"""Find what is due by a schedule: the newest run that was due, and the earlier ones that were missed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from jobs.crontab import Crontab
from mlops.warehouse.schedules import Standing

MARKED = 366
"""At most so many missed runs are marked at a time, the newest: a year of a daily job."""

COUNTED = 10_000
"""Further ones are counted so far."""


@dataclass(frozen=True, slots=True)
class Due:
    """What is due of a job.

    Attributes:
        as_of: the moment (UTC) at which its newest run was due, which has not succeeded.
        missed: the moments before it, since the newest that was run, the oldest first; the newest `MARKED` of them.
        unmarked: how many more there are before those, counted up to `COUNTED`.
    """

    as_of: datetime
    missed: tuple[datetime, ...]
    unmarked: int


def due(job: str, standing: Standing, now: datetime) -> Due | None:
    """Return what is due of `job` at `now` (UTC), None for nothing.

    Whether a run was due is decided by the expression that was set at that time: a new one makes nothing due in the
    past. A scheduled run that has a row and has not succeeded is due until the next one is.
    """
    spans = list(_spans(job, standing, now))
    moments: list[datetime] = []
    for crontab, since, until in reversed(spans):
        moments = crontab.newest(since, until, MARKED + 1 - len(moments)) + moments
        if len(moments) > MARKED:
            break
    pending = [standing.newest] if standing.newest is not None and not standing.succeeded else []
    if not moments:
        return Due(pending[0], (), 0) if pending else None
    if len(moments) <= MARKED:
        moments, more = pending + moments, 0
    else:
        more = len(pending) + _count(spans, moments[0])
    return Due(moments[-1], tuple(moments[:-1]), more)


def _spans(job: str, standing: Standing, now: datetime) -> Iterator[tuple[Crontab, datetime, datetime]]:
    """Yield each expression that has held since the newest run, with the moments after which and until which it did."""
    ends = [since for since, _ in standing.history[1:]] + [now]
    for (since, expression), end in zip(standing.history, ends, strict=True):
        begin, until = max(since, standing.newest or since), min(end, now)
        if begin < until:
            yield Crontab(expression, job), begin, until


def _count(spans: list[tuple[Crontab, datetime, datetime]], before: datetime) -> int:
    total = 0
    for crontab, since, until in spans:
        if since < before and total < COUNTED:
            end = before if before <= until else until
            total += crontab.count(since, end, COUNTED - total)
    return total
