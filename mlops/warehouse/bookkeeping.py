"""Who runs what, and how it ended: `monitoring.job_runs`.

A run holds its job's lock on a connection of its own. A worker that is killed loses the lock at once, so the next
run knows that a row left 'running' is nobody's and closes it as 'abandoned'.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from mlops.exceptions import JobBusyError
from mlops.warehouse.engine import Warehouse
from mlops.warehouse.queries import sql


@contextmanager
def job_run(warehouse: Warehouse, job: str, as_of: datetime) -> Iterator[int]:
    """Record one attempt of `job` for `as_of` (UTC) around the block, and give the attempt's number.

    The row ends as 'succeeded', or as 'failed' with the error, which goes on to the caller. Raises JobBusyError,
    and records nothing, where the same job is running elsewhere.
    """
    with warehouse.lock(f"job:{job}") as held:
        if not held:
            raise JobBusyError(
                f"The job {job} is running already. Wait for it to end; `forecastle schedule list` shows it."
            )
        with warehouse.begin() as connection:
            connection.execute(sql("warehouse", "job_abandon"), {"job": job})
            attempt: int = connection.execute(sql("warehouse", "job_start"), {"job": job, "as_of": as_of}).scalar_one()
        key = {"job": job, "as_of": as_of, "attempt": attempt}
        try:
            yield attempt
        except BaseException as error:
            message = f"{type(error).__name__}: {error}"[:2000]
            with warehouse.begin() as connection:
                connection.execute(sql("warehouse", "job_finish"), {**key, "state": "failed", "error": message})
            raise
        with warehouse.begin() as connection:
            connection.execute(sql("warehouse", "job_finish"), {**key, "state": "succeeded", "error": None})


def has_succeeded(warehouse: Warehouse, job: str, as_of: datetime) -> bool:
    """Tell whether `job` has already done its work for `as_of` (UTC)."""
    with warehouse.begin() as connection:
        return bool(connection.execute(sql("warehouse", "job_succeeded"), {"job": job, "as_of": as_of}).scalar_one())
