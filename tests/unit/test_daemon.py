"""The daemon's schedule and its end, without a database."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest

from jobs.daemon import Scheduled
from mlops.exceptions import SettingsError

DAEMON = """
import sys, time, logging
from jobs import daemon
logging.basicConfig(level="INFO")
def job(as_of):
    print("begun", flush=True)
    time.sleep(float(sys.argv[1]))
    print("finished", flush=True)
daemon.run([daemon.Scheduled("daily", "30 22 * * mon-fri", job)], at_once=("daily",))
print("ended", flush=True)
"""


def start(seconds: float) -> subprocess.Popen[str]:
    daemon = subprocess.Popen(
        [sys.executable, "-c", DAEMON, str(seconds)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert daemon.stdout is not None
    assert daemon.stdout.readline() == "begun\n"
    return daemon


def test_next_run_is_in_utc_and_on_a_weekday() -> None:
    job = Scheduled("daily", "30 22 * * mon-fri", print)
    assert job.next_run(datetime(2017, 6, 30, 22, 31, tzinfo=UTC)) == datetime(2017, 7, 3, 22, 30, tzinfo=UTC)


@pytest.mark.parametrize("crontab", ["", "never", "61 22 * * *", "30 22 * *"])
def test_a_wrong_crontab_is_refused_by_name(crontab: str) -> None:
    with pytest.raises(SettingsError, match="when daily should run, is not a crontab expression"):
        Scheduled("daily", crontab, print).next_run(datetime(2017, 6, 30, tzinfo=UTC))


def test_sigterm_lets_the_running_job_finish() -> None:
    daemon = start(1.0)
    daemon.terminate()
    out, _ = daemon.communicate(timeout=20)
    assert (daemon.returncode, out) == (0, "finished\nended\n")


def test_a_second_sigterm_ends_at_once() -> None:
    daemon = start(60)
    daemon.terminate()
    time.sleep(0.5)
    os.kill(daemon.pid, signal.SIGTERM)
    out, _ = daemon.communicate(timeout=20)
    assert (daemon.returncode, out) == (128 + signal.SIGTERM, "")
