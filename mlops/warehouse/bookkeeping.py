"""Who runs what, and how it ended: `monitoring.job_runs`.

A run holds its job's lock on a connection of its own. A worker that is killed loses the lock at once, so the next
run knows that a row left 'running' is nobody's and closes it as 'abandoned'.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from mlops.exceptions import JobBusyError, WarehouseError, WarehouseUnreachableError
from mlops.warehouse.engine import Warehouse
from mlops.warehouse.queries import sql


@dataclass(slots=True)
class Attempt:
    """One attempt of a job.

    Attributes:
        number: from 1, for its job and as-of.
        closed: whether its row says how it ended. It cannot where the database went away in the middle; the next run
            of the job closes it.
        cut_off: whether the database went away in the middle, even if it was back in time for the row.
    """

    number: int
    closed: bool = False
    cut_off: bool = False


@contextmanager
def job_run(
    warehouse: Warehouse,
    job: str,
    as_of: datetime,
    subject: str = "",
    *,
    scheduled: bool = False,
    on_wait: Callable[[str], None] | None = None,
) -> Iterator[Attempt]:
    """Record one attempt of `job` for `as_of` (UTC) around the block; `scheduled` says that it was due then.

    `subject` is what it is about, where a job can be about several things; each has attempts and a lock of its own.

    The row ends as 'succeeded', or as 'failed' with the error, which goes on to the caller; no later error of the
    bookkeeping takes its place. Raises JobBusyError, and records nothing, where the same job is
    running elsewhere for the same subject. With `on_wait` it waits for that one instead, once it has called `on_wait`
    with who runs it; it raises LockTimeoutError, and records nothing, where that does not end.
    """
    attempt, first = None, None
    try:
        with warehouse.lock(f"job:{job}:{subject}" if subject else f"job:{job}", on_wait) as held:
            if not held:
                named = f"{job} of {subject}" if subject else job
                raise JobBusyError(
                    f"The job {named} is running already. Wait for it to end; `forecastle schedule list` shows it."
                )
            key = {"job": job, "subject": subject, "as_of": as_of}
            with warehouse.begin() as connection:
                connection.execute(sql("warehouse", "job_abandon"), {"job": job, "subject": subject})
                opened = connection.execute(sql("warehouse", "job_start"), {**key, "scheduled": scheduled})
                attempt = Attempt(opened.scalar_one())
            try:
                yield attempt
            except BaseException as error:
                first = error
                with suppress(WarehouseError):
                    _close(warehouse, key, attempt, "failed", f"{type(error).__name__}: {error}".rstrip(": ")[:2000])
                raise
            _close(warehouse, key, attempt, "succeeded", None)
    except WarehouseUnreachableError as error:
        if attempt is not None:
            attempt.cut_off = True
        if first is not None and error is not first:
            raise first from error  # the lock could not be given back: its connection is gone, and the lock with it
        raise


def _close(warehouse: Warehouse, key: Mapping[str, object], attempt: Attempt, state: str, error: str | None) -> None:
    with warehouse.begin() as connection:
        connection.execute(
            sql("warehouse", "job_finish"), {**key, "attempt": attempt.number, "state": state, "error": error}
        )
    attempt.closed = True


def has_succeeded(warehouse: Warehouse, job: str, as_of: datetime, subject: str = "") -> bool:
    """Tell whether `job` has already done its work for `as_of` (UTC) and `subject`."""
    asked = {"job": job, "subject": subject, "as_of": as_of}
    with warehouse.begin() as connection:
        return bool(connection.execute(sql("warehouse", "job_succeeded"), asked).scalar_one())


def overview(warehouse: Warehouse) -> dict[str, dict[str, Any]]:
    """Return by job: as_of, state and started_at of its newest run, and how many were `missed` in the last 30 days."""
    with warehouse.begin() as connection:
        rows = connection.execute(sql("warehouse", "job_overview")).all()
    return {row.job: {name: value for name, value in row._mapping.items() if name != "job"} for row in rows}


def steps_of(warehouse: Warehouse, as_of: datetime, since: datetime) -> Sequence[Row[Any]]:
    """Return job, subject, state and seconds of what was run for `as_of` (UTC) from `since` on, by their start."""
    with warehouse.begin() as connection:
        return connection.execute(sql("warehouse", "job_steps"), {"as_of": as_of, "since": since}).all()
