"""The daemon's loop and its end, without a database."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

from jobs import daemon

DAEMON = """
import sys, time, logging
from datetime import UTC, datetime, timedelta
from jobs import daemon
logging.basicConfig(level="INFO")
class Task:
    def __init__(self, name, seconds, hours_away=0):
        self.name, self.seconds, self.at = name, seconds, datetime.now(UTC) + timedelta(hours=hours_away)
    def attempt(self, may_start):
        self.at = None
        if self.name == "faulty":
            raise ZeroDivisionError("a mistake")
        if self.name == "connecting":
            print("connecting", flush=True)
            time.sleep(self.seconds)
        with may_start() as may:
            print("begun" if may else "not begun", flush=True)
            time.sleep(self.seconds)
            print("finished", flush=True)
daemon.run([eval(task) for task in sys.argv[1:]])
print("ended", flush=True)
"""


def start(*tasks: str, begins: str = "begun") -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", DAEMON, *tasks], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == f"{begins}\n"
    return process


def test_sigterm_lets_the_running_job_finish_and_begins_no_other() -> None:
    process = start("Task('daily', 1.0)", "Task('retrain', 60)")
    process.terminate()
    out, _ = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "finished\nended\n")


def test_a_second_sigterm_ends_at_once() -> None:
    process = start("Task('daily', 60)")
    process.terminate()
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGTERM)
    out, _ = process.communicate(timeout=20)
    assert (process.returncode, out) == (128 + signal.SIGTERM, "")


def test_sigterm_ends_what_waits_at_once() -> None:
    process = start("Task('daily', 0)", "Task('retrain', 60, hours_away=1)")
    time.sleep(0.2)  # it is waiting by now
    process.terminate()
    out, _ = process.communicate(timeout=10)
    assert process.returncode == 0
    assert out.endswith("ended\n")


def test_sigterm_breaks_off_what_is_no_job() -> None:
    """Such as waiting for a server that does not answer."""
    process = start("Task('connecting', 60)", begins="connecting")
    process.terminate()
    out, _ = process.communicate(timeout=10)
    assert (process.returncode, out) == (0, "ended\n")


def test_the_earliest_goes_first() -> None:
    process = start("Task('daily', 0)", "Task('connecting', 0, hours_away=-1)", begins="connecting")
    process.terminate()
    process.communicate(timeout=10)


def test_a_clock_that_is_set_back_has_everything_looked_at_again() -> None:
    """What was to come tomorrow by a wrong clock may be due today."""
    moments = [datetime(2017, 7, 4, tzinfo=UTC)] * 3 + [datetime(2017, 7, 3, tzinfo=UTC)]
    ending = daemon._Ending()

    class Task:
        name, at = "daily", datetime(2017, 7, 5, tzinfo=UTC)

        def attempt(self, _: object) -> None:
            ending.asked.set()

    task = Task()
    daemon._work([task], lambda: moments.pop(0) if len(moments) > 1 else moments[0], 0.01, ending)
    assert task.at == datetime(2017, 7, 3, tzinfo=UTC)


def test_a_mistake_in_a_task_ends_the_daemon() -> None:
    """Rather than leave a process that does nothing any more."""
    process = subprocess.run(
        [sys.executable, "-c", DAEMON, "Task('faulty', 0)"], capture_output=True, text=True, check=False, timeout=20
    )
    assert process.returncode == 1
    assert "ZeroDivisionError: a mistake" in process.stderr
