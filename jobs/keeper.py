"""Keep one job to its schedule: run what is due, mark what was missed, try again what an outage stopped.

The as-of of a run is the moment at which it was due, however late it begins: it uses nothing that was known later, and
what was begun and not finished goes on under the same key. Only the newest run that is due is made; those before it are
marked as missed, for a person to make up (docs/decisions/0015-missed-runs.md says why).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from jobs.due import COUNTED, Due, due
from jobs.scheduled import PASSES, Pauses, Scheduled
from mlops.exceptions import ForecastleError, JobBusyError
from mlops.warehouse import Warehouse
from mlops.warehouse.bookkeeping import Attempt, has_succeeded, job_run
from mlops.warehouse.schedules import adopt, mark_missed, note_outage, schedule_lock, standing

log = logging.getLogger("forecastle.daemon")

OpenWarehouse = Callable[[], Warehouse]
"""Called for each try: a server that was restarted, or that listens elsewhere now, is found again."""

MayStart = Callable[[], AbstractContextManager[bool]]
"""Entered around a job, for as long as the daemon has to wait for it; False where the daemon is ending."""


@dataclass(slots=True)
class _Outage:
    """Tries that could not be written to the database: when the first and last were (UTC), how many, the last error."""

    first: datetime
    last: datetime
    tries: int
    error: Exception

    def words(self) -> str:
        """Return what goes into the row that is written once that is possible."""
        return (
            f"{type(self.error).__name__}: {self.error} Tried {self.tries} time{'' if self.tries == 1 else 's'} from "
            f"{_moment(self.first)} to {_moment(self.last)} UTC, when nothing could be written."
        )


class Keeper:
    """Keeps `job` to its schedule, from the moment at which the keeper is made.

    Attributes:
        at: when to try next, UTC; None for never. At first the last moment at which the job was due, so that what an
            earlier daemon left is taken up at once, and several jobs in the order in which they were due.
    """

    def __init__(
        self, job: Scheduled, open_warehouse: OpenWarehouse, now: Callable[[], datetime], pauses: Pauses | None = None
    ) -> None:
        """`now` tells the time, UTC."""
        self.job, self.name = job, job.name
        self._open, self._now, self._pauses = open_warehouse, now, pauses or Pauses()
        self._since = now()
        last = job.crontab.newest(self._since - timedelta(days=366), self._since, 1)
        self.at: datetime | None = last[0] if last else self._since
        self._tries = 0
        self._outage: _Outage | None = None

    def attempt(self, may_start: MayStart) -> None:
        """Do what is due, and set when to try next. Raises nothing."""
        begun, now = False, self._now()
        try:
            with self._open() as warehouse, schedule_lock(warehouse, self.name):
                what = self._take_stock(warehouse, now)
                if what is None:
                    self._go_on(now)
                    return
                with may_start() as may:
                    if may:
                        begun = self._run(warehouse, what.as_of)
        except Exception as error:
            if begun:
                return  # the run has its row and is done with; what was lost is the lock, with the connection
            if not isinstance(error, JobBusyError):
                first, tries = (self._outage.first, self._outage.tries) if self._outage else (now, 0)
                self._outage = _Outage(first, now, tries + 1, error)
            self._try_again(error)

    def _take_stock(self, warehouse: Warehouse, now: datetime) -> Due | None:
        """Write down what was missed, and what could not be written before; return what is to be run, if anything."""
        with warehouse.begin() as connection:
            adopt(connection, self.name, self.job.crontab.expression, min(self._since, now))
            what = due(self.name, standing(connection, self.name, now), now)
            marked = mark_missed(connection, self.name, self._said_of_missed(what)) if what else []
        if marked:
            log.warning(
                "%s: missed %d from %s to %s UTC, and marked them in job_runs%s",
                self.name,
                len(marked),
                _moment(marked[0]),
                _moment(marked[-1]),
                f"; {_many(what.unmarked)} more before them are not marked" if what and what.unmarked else "",
            )
        if what is None or has_succeeded(warehouse, self.name, what.as_of):
            return None
        outage = self._outage
        if outage is not None and outage.last >= what.as_of:
            with warehouse.begin() as connection:
                first = max(outage.first, what.as_of)
                note_outage(connection, self.name, what.as_of, first=first, last=outage.last, error=outage.words())
        self._outage = None
        return what

    def _said_of_missed(self, what: Due) -> dict[datetime, str]:
        """Return what stands in the row of each missed run."""
        outage = f" {self._outage.words()}" if self._outage else ""
        said = {
            as_of: "Not run when it was due, nor before the next one was: no daemon ran, it had no database, or it was "
            f"at work on another run.{outage} Make it up: `forecastle schedule run --once {self.name} --as-of "
            f"{as_of.astimezone(UTC).isoformat()}`."
            for as_of in what.missed
        }
        if what.unmarked:
            said[what.missed[0]] += f" Before it {_many(what.unmarked)} more were due that have no row."
        return said

    def _run(self, warehouse: Warehouse, as_of: datetime) -> bool:
        """Run the job, and return True; its row says how it ended. Raises what kept the row from being opened."""
        attempt: Attempt | None = None
        try:
            with job_run(warehouse, self.name, as_of, scheduled=True) as attempt:
                log.info("%s as of %s UTC: begun, attempt %d", self.name, _moment(as_of), attempt.number)
                self.job.run(warehouse, as_of)
        except Exception as error:
            if attempt is None:
                raise
            if isinstance(error, PASSES) or attempt.cut_off or not attempt.closed:
                self._try_again(error)
            else:
                log_failure(self.name, error)
                self._go_on(as_of)
        else:
            log.info("%s as of %s UTC: done", self.name, _moment(as_of))
            self._go_on(as_of)
        return True

    def _go_on(self, after: datetime) -> None:
        """Try next when the job is due next after `after` (UTC)."""
        self._tries, self._outage = 0, None
        self.at = self.job.crontab.next(after)
        if self.at is not None and self.at > self._now():
            log.info("%s is due next at %s UTC", self.name, _moment(self.at))

    def _try_again(self, error: Exception) -> None:
        """Try next after a pause, or when the job is due next."""
        self._tries += 1
        now = self._now()
        at, due_next = now + self._pauses.after(self._tries, error), self.job.crontab.next(now)
        self.at = at if due_next is None else min(at, due_next)
        log_failure(self.name, error, f" Trying again at {_moment(self.at)} UTC.")


class AtOnce:
    """Runs `job` once, as of now, beside its schedule.

    Attributes:
        at: before everything else; None when it has been run.
    """

    def __init__(self, job: Scheduled, open_warehouse: OpenWarehouse, now: Callable[[], datetime]) -> None:
        """`now` tells the time, UTC."""
        self.job, self.name = job, job.name
        self._open, self._now = open_warehouse, now
        self.at: datetime | None = datetime.min.replace(tzinfo=UTC)

    def attempt(self, may_start: MayStart) -> None:
        """Run the job. Raises nothing; what went wrong is in its row, or in the log where there can be none."""
        self.at = None
        try:
            with self._open() as warehouse, may_start() as may:
                if may:
                    as_of = self._now()
                    with job_run(warehouse, self.name, as_of):
                        self.job.run(warehouse, as_of)
                    log.info("%s as of %s UTC, at once: done", self.name, _moment(as_of))
        except Exception as error:
            log_failure(self.name, error)


def log_failure(name: str, error: Exception, then: str = "") -> None:
    """Say in one line what went wrong; with a traceback where it is not a ForecastleError, since that is a bug."""
    ours = isinstance(error, ForecastleError)
    log.error("%s: %s%s%s", name, "" if ours else f"{type(error).__name__}: ", error, then, exc_info=not ours)


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _many(n: int) -> str:
    return f"{'at least ' if n >= COUNTED else ''}{n:,}"
