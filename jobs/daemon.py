"""The daemon: one process that does what is due, one thing after the other, until SIGTERM or SIGINT.

A thread does the tasks, so that the signals find the main thread free. A first signal lets the job that is running
finish, and breaks off whatever else goes on, such as waiting for a server. A second one ends at once, which harms
nothing: every job leaves the last complete state, and its row becomes 'abandoned' when it runs next.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import FrameType
from typing import TYPE_CHECKING, Protocol

from mlops import clock

if TYPE_CHECKING:
    from jobs.keeper import MayStart

log = logging.getLogger("forecastle.daemon")

LONGEST_SLEEP = 30.0
"""Seconds after which the clock is looked at again: it may have been set, or the machine may have slept."""

_SET_BACK = timedelta(minutes=1)
"""Where the clock is put back by this much, it was wrong before, and so were the times of the next attempts."""

_LAST_WORDS = 2.0
"""Seconds that the thread has to close its connections, when no job is running any more."""


class Task(Protocol):
    """What the daemon does, again and again: `Keeper`, or `AtOnce`."""

    name: str
    at: datetime | None
    """When to attempt it next, UTC; None for never again. The earliest goes first."""

    def attempt(self, may_start: MayStart) -> None:
        """Do it, and set `at` anew. Raises nothing that should not end the daemon."""


def run(tasks: Sequence[Task], now: Callable[[], datetime] = clock.now, longest_sleep: float = LONGEST_SLEEP) -> None:
    """Do each of `tasks` whenever its time has come, until SIGTERM or SIGINT.

    `now` tells the time, UTC; it is asked at least every `longest_sleep` seconds.

    Call it from the main thread. Raises what a task raises: a mistake in it that goes on would be a silent daemon.
    """
    ending = _Ending()
    errors: list[BaseException] = []

    def work() -> None:
        try:
            _work(tasks, now, longest_sleep, ending)
        except BaseException as error:
            errors.append(error)
        finally:
            ending.asked.set()

    def on_signal(signum: int, _: FrameType | None) -> None:
        if ending.asked.is_set():
            os._exit(128 + signum)
        log.info("%s: ending as soon as no job is running", signal.Signals(signum).name)
        ending.asked.set()

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, on_signal)
    worker = threading.Thread(target=work, name="jobs", daemon=True)
    worker.start()
    ending.asked.wait()
    with ending.no_job_running:
        pass  # none will be started any more
    worker.join(_LAST_WORDS)
    if errors:
        raise errors[0]
    log.info("ended")


class _Ending:
    """Whether the daemon has been asked to end, and whether a job is running that it has to wait for."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.no_job_running = threading.Lock()

    @contextmanager
    def may_start(self) -> Iterator[bool]:
        """See `MayStart`."""
        with self.no_job_running:
            yield not self.asked.is_set()


def _work(tasks: Sequence[Task], now: Callable[[], datetime], longest_sleep: float, ending: _Ending) -> None:
    seen = now()
    while not ending.asked.is_set():
        moment = now()
        if moment < seen - _SET_BACK:
            for task in tasks:
                task.at = task.at and min(task.at, moment)
        seen = moment
        waiting = sorted((task.at, number) for number, task in enumerate(tasks) if task.at is not None)
        if waiting and waiting[0][0] <= moment:
            tasks[waiting[0][1]].attempt(ending.may_start)
        else:
            seconds = (waiting[0][0] - moment).total_seconds() if waiting else longest_sleep
            ending.asked.wait(min(seconds, longest_sleep))
