"""The daemon: one process that runs the daily way and the monthly retrain, each when its crontab expression says.

One thread runs the jobs, one after the other: they share the machine and the tables. SIGTERM or SIGINT lets the job
that is running finish and then ends; a second one ends at once, which harms nothing, since every job leaves the last
complete state (its row becomes 'abandoned' when the job runs next).
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from types import FrameType

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, EVENT_JOB_MISSED, JobExecutionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from mlops import clock
from mlops.exceptions import ForecastleError, SettingsError

log = logging.getLogger("forecastle.daemon")

MISFIRE_GRACE_SECONDS = 6 * 3600
"""A run that could not start in time (machine asleep, another job running) is made up for within this time."""


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A job and when it runs. `run` takes the as-of, UTC."""

    name: str
    crontab: str
    run: Callable[[datetime], object]

    def next_run(self, after: datetime) -> datetime | None:
        """Return the first moment after `after` (UTC) at which the job is due, None for never.

        Raises SettingsError where the crontab expression cannot be read.
        """
        moment: datetime | None = self._trigger().get_next_fire_time(None, after)
        return moment

    def _trigger(self) -> CronTrigger:
        try:
            return CronTrigger.from_crontab(self.crontab, timezone="UTC")
        except ValueError as error:
            raise SettingsError(
                f"{self.crontab!r}, when {self.name} should run, is not a crontab expression ({error}). "
                "Write five fields: minute hour day month weekday, such as '30 22 * * mon-fri'."
            ) from error


def run(schedule: list[Scheduled], *, at_once: tuple[str, ...] = ()) -> None:
    """Run the jobs of `schedule` until SIGTERM or SIGINT; those named in `at_once` also run right away.

    A job that fails is logged (and stands in `monitoring.job_runs`); the daemon goes on. Raises SettingsError before
    anything starts where a crontab expression cannot be read. Call it from the main thread.
    """
    scheduler = BackgroundScheduler(timezone="UTC", executors={"default": ThreadPoolExecutor(1)})
    scheduler.add_listener(_report, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR | EVENT_JOB_MISSED)
    for job in schedule:
        scheduler.add_job(
            _as_of_now, job._trigger(), args=[job.run], id=job.name, name=job.name,
            coalesce=True, max_instances=1, misfire_grace_time=MISFIRE_GRACE_SECONDS,
        )  # fmt: skip
        if job.name in at_once:
            scheduler.add_job(
                _as_of_now, args=[job.run], id=f"{job.name} at once", name=job.name, misfire_grace_time=None
            )
    stop = threading.Event()

    def on_signal(signum: int, _: FrameType | None) -> None:
        if stop.is_set():
            os._exit(128 + signum)
        log.info("%s: ending after the job that is running", signal.Signals(signum).name)
        stop.set()

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, on_signal)
    scheduler.start()
    for job in schedule:
        log.info("%s runs next at %s", job.name, job.next_run(clock.now()))
    stop.wait()
    scheduler.shutdown(wait=True)
    log.info("ended")


def _as_of_now(job: Callable[[datetime], object]) -> object:
    return job(clock.now())


def _report(event: JobExecutionEvent) -> None:
    if event.code == EVENT_JOB_MISSED:
        log.error("%s: missed its time by more than %d hours", event.job_id, MISFIRE_GRACE_SECONDS // 3600)
    elif event.exception is None:
        log.info("%s: done", event.job_id)
    elif isinstance(event.exception, ForecastleError):
        log.error("%s: %s", event.job_id, event.exception)
    else:
        log.error("%s: %s\n%s", event.job_id, event.exception, event.traceback)
