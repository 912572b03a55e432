"""What has been due, and what came of it: `monitoring.schedules`, and the scheduled rows of `monitoring.job_runs`.

Whoever keeps a job to its schedule holds `schedule_lock`, so that of two daemons on one database one waits for the
other. The functions here take the connection of a transaction: what was found and what is written of it commit at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from mlops.exceptions import JobBusyError
from mlops.warehouse.engine import Warehouse
from mlops.warehouse.queries import sql


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the schedule of a job stands.

    Attributes:
        history: since when (UTC) which crontab expression has held, the oldest first.
        newest: as-of (UTC) of the newest scheduled run that has a row; None before the first.
        succeeded: whether an attempt at that one has succeeded.
    """

    history: tuple[tuple[datetime, str], ...]
    newest: datetime | None
    succeeded: bool


@contextmanager
def schedule_lock(warehouse: Warehouse, job: str) -> Iterator[None]:
    """Be the only one, for the length of the block, who keeps `job` to its schedule. Raises JobBusyError."""
    with warehouse.lock(f"schedule:{job}") as held:
        if not held:
            raise JobBusyError(f"Another daemon keeps the schedule of {job} on this database.")
        yield


def adopt(connection: Connection, job: str, crontab: str, since: datetime) -> None:
    """Let `job` be due by `crontab` from `since` (UTC) on, where another expression, or none, has held up to then."""
    connection.execute(sql("warehouse", "schedule_adopt"), {"job": job, "crontab": crontab, "since": since})


def standing(connection: Connection, job: str, now: datetime) -> Standing:
    """Return where the schedule of `job` stands at `now` (UTC); what a clock that was ahead has written is left out."""
    history = connection.execute(sql("warehouse", "schedule_history"), {"job": job}).all()
    newest = connection.execute(sql("warehouse", "job_newest_scheduled"), {"job": job, "now": now}).one_or_none()
    return Standing(
        history=tuple((row.since, row.crontab) for row in history),
        newest=None if newest is None else newest.as_of,
        succeeded=newest is not None and newest.succeeded,
    )


def mark_missed(connection: Connection, job: str, runs: Mapping[datetime, str]) -> list[datetime]:
    """Mark runs of `job` that were due as missed: as-of (UTC) and what to say. Return the as-ofs of those marked.

    One that ended, well or badly, stays as it is; one that a killed worker left open, or nobody began, is missed.
    """
    marked = connection.execute(
        sql("warehouse", "job_missed"), {"job": job, "as_ofs": list(runs), "errors": list(runs.values())}
    )
    return sorted(marked.scalars())


def note_outage(
    connection: Connection, job: str, as_of: datetime, *, first: datetime, last: datetime, error: str
) -> None:
    """Write the row of an attempt that could not be written while it was made, from `first` to `last` (UTC)."""
    connection.execute(
        sql("warehouse", "job_outage"),
        {"job": job, "as_of": as_of, "started_at": first, "finished_at": last, "error": error[:2000]},
    )
