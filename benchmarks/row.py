"""One line of the table, and how a time is taken."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured, beside what a user would pick instead, in the same unit, and the goal in words."""

    what: str
    ours: float
    unit: str
    alternative: str
    theirs: float | None
    goal: str
    met: bool

    @property
    def ratio(self) -> float | None:
        """Ours over theirs: below 1 is better than the alternative."""
        return None if self.theirs in (None, 0) else self.ours / self.theirs


def seconds(action: Callable[[], object], *, runs: int = 1, warmup: int = 0) -> float:
    """Return the median wall-clock seconds of `runs` runs of `action`, after `warmup` that do not count."""
    for _ in range(warmup):
        action()
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return statistics.median(times)
