"""`monitoring.job_runs`: what is written when a job ends well, badly, or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from mlops.exceptions import JobBusyError
from mlops.warehouse import Warehouse
from mlops.warehouse.bookkeeping import has_succeeded, job_run

AS_OF = datetime(2017, 6, 30, 20, tzinfo=UTC)

WORKER = """
import sys, time
from datetime import datetime, UTC
from mlops.warehouse import Warehouse
from mlops.warehouse.bookkeeping import has_succeeded, job_run
with job_run(Warehouse(sys.argv[1]), "forecast", datetime(2017, 6, 30, 20, tzinfo=UTC)):
    print("inside", flush=True)
    time.sleep(60)
"""


def rows(warehouse: Warehouse) -> list[tuple[int, str, str | None]]:
    with warehouse.begin() as connection:
        found = connection.execute(text("SELECT attempt, state, error FROM monitoring.job_runs ORDER BY attempt"))
        return [(row.attempt, row.state, row.error) for row in found]


def test_success_and_failure_are_recorded(warehouse: Warehouse) -> None:
    with pytest.raises(ZeroDivisionError), job_run(warehouse, "forecast", AS_OF):
        _ = 1 / 0
    assert not has_succeeded(warehouse, "forecast", AS_OF)
    with job_run(warehouse, "forecast", AS_OF) as attempt:
        assert attempt.number == 2
    assert rows(warehouse) == [(1, "failed", "ZeroDivisionError: division by zero"), (2, "succeeded", None)]
    assert has_succeeded(warehouse, "forecast", AS_OF)
    assert not has_succeeded(warehouse, "drift", AS_OF)


def test_a_second_run_at_the_same_time_is_refused(warehouse: Warehouse) -> None:
    with job_run(warehouse, "forecast", AS_OF):
        with pytest.raises(JobBusyError, match="forecast is running already"), job_run(warehouse, "forecast", AS_OF):
            pass
        with job_run(warehouse, "drift", AS_OF):
            pass
    assert [state for _, state, _ in rows(warehouse)] == ["succeeded", "succeeded"]


def test_a_killed_worker_is_found_out_by_the_next_run(warehouse: Warehouse, database_url: str) -> None:
    worker = subprocess.Popen([sys.executable, "-c", WORKER, database_url], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "inside\n"
    assert rows(warehouse) == [(1, "running", None)]
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    with job_run(warehouse, "forecast", AS_OF):
        pass
    assert [(attempt, state) for attempt, state, _ in rows(warehouse)] == [(1, "abandoned"), (2, "succeeded")]


def test_a_lock_that_is_let_go_of_within_the_grace_is_taken(warehouse: Warehouse) -> None:
    """As that of a killed worker is, when the server sees the closed connection."""
    taken = threading.Event()

    def hold_for_a_moment() -> None:
        with warehouse.lock("somebody") as held:
            assert held
            taken.set()
            time.sleep(0.3)

    with ThreadPoolExecutor(1) as pool:
        holder = pool.submit(hold_for_a_moment)
        assert taken.wait(10)
        with warehouse.lock("somebody") as held:
            assert held
        holder.result()
    with warehouse.lock("somebody") as held:
        assert held


def test_each_subject_has_attempts_and_a_lock_of_its_own(warehouse: Warehouse) -> None:
    with job_run(warehouse, "train", AS_OF, "stocks_d1/gbm"):
        with job_run(warehouse, "train", AS_OF, "stocks_d1/forest") as other:
            assert other.number == 1
        with (
            pytest.raises(JobBusyError, match="train of stocks_d1/gbm is running already"),
            job_run(warehouse, "train", AS_OF, "stocks_d1/gbm"),
        ):
            pytest.fail("it is running")
    assert has_succeeded(warehouse, "train", AS_OF, "stocks_d1/gbm")
    assert not has_succeeded(warehouse, "train", AS_OF, "stocks_d1/band")
    assert not has_succeeded(warehouse, "train", AS_OF)
