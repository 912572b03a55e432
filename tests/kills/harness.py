"""Runs all steps undisturbed, then once more with kills, and compares what is there in the end."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from databases import administer
from server_for_tests import fast_server, open_folder

from kills.content import content, differences, left_over
from kills.steps import Step, steps_of
from kills.workshop import Workshop
from mlops.embedded import EmbeddedServer
from mlops.embedded.postmaster import running
from mlops.warehouse.databases import beside

DEALT = (
    "daily", "train", "features", "daily", "ingest", "migrate", "daily", "check", "outcomes", "drift", "forecast",
)  # fmt: skip
"""The kinds of step that are killed, in turn; the daily job most often, since it is the longest."""

HOWS = ("at a moment", "after a time", "its server")
"""Killed by itself before a statement, a commit or a move of a file; from outside; or the server is, at a time."""

_NEARER = (1.0, 0.6, 0.3, 0.1, 0.03, 0.0)
"""Where a command ended before its kill, it is tried again at these shares of the moment or time, in this order."""


@dataclass(frozen=True)
class Kill:
    """What is killed, and how far the command is to come: 0 to 1 of its moments or its time."""

    step: int
    how: str
    where: float


@dataclass(frozen=True)
class Measured:
    """How long a command took undisturbed, and the moments that it came to."""

    seconds: float
    moments: int


@dataclass
class Summary:
    """What was killed where, and what was wrong: nothing, where all is well."""

    kills: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def run(
    n_kills: int, seed: int, days: int, *, short: bool = False, progress: Callable[[str], object] = lambda _: None
) -> Summary:
    """Kill `n_kills` times in the steps over `days` days, at random from `seed`, and return what came of it."""
    summary = Summary()
    with open_folder("kills") as folder, Workshop(folder) as workshop, _server(folder / "home") as server:
        steps = steps_of(folder, days, short=short)
        calm, wild = _World(server, workshop, folder, "calm"), _World(server, workshop, folder, "wild")
        workshop.wait_until_loaded()
        measured = []
        for step in steps:
            measured.append(calm.complete(step, summary))
            progress(f"undisturbed, {measured[-1].seconds:4.1f} s, {measured[-1].moments:4d} moments: {step}")
        for index, kills in enumerate(deal(steps, n_kills, random.Random(seed))):  # noqa: S311 - no secret
            wild.put_files(steps[index])
            for kill in kills:
                summary.kills.append(wild.kill(steps[index], kill, measured[index]))
                progress(summary.kills[-1])
            wild.complete(steps[index], summary)
        summary.problems += differences(calm.content(), wild.content())
        summary.problems += (
            [] if len(summary.kills) == n_kills else [f"{len(summary.kills)} kills instead of {n_kills}"]
        )
    return summary


def deal(steps: list[Step], n_kills: int, rng: random.Random) -> list[list[Kill]]:
    """Return the kills of each step, in turn over the kinds of step and the methods of killing."""
    dealt: list[list[Kill]] = [[] for _ in steps]
    kinds = [kind for kind in DEALT if any(step.kind == kind for step in steps)]
    for turn in range(n_kills):
        index = rng.choice([index for index, step in enumerate(steps) if step.kind == kinds[turn % len(kinds)]])
        dealt[index].append(Kill(index, HOWS[turn % len(HOWS)], rng.random()))
    return dealt


@contextmanager
def _server(home: Path) -> Iterator[EmbeddedServer]:
    home.mkdir(mode=0o755)
    # What was committed survives the server's end, though not the machine's.
    server = fast_server(home, synchronous_commit="on", full_page_writes="on")
    server.up()
    try:
        yield server
    finally:
        server.down()


class _World:
    """A database and an inbox, and the steps that are run on them."""

    def __init__(self, server: EmbeddedServer, workshop: Workshop, folder: Path, name: str) -> None:
        self.server, self.workshop, self.name = server, workshop, name
        self.inbox = folder / f"{name}-inbox"
        self.inbox.mkdir()
        self.spec = folder / "spec.toml"
        administer(server.up().url, f"CREATE DATABASE {name} TEMPLATE template0")

    @property
    def url(self) -> str:
        return beside(self.server.up().url, self.name)

    def put_files(self, step: Step) -> None:
        """Lay the step's files into the inbox, as somebody does who brings them once."""
        for name, text in step.files.items():
            draft = self.inbox / f".{name}"
            draft.write_text(text)
            draft.rename(self.inbox / name)

    def complete(self, step: Step, summary: Summary) -> Measured:
        """Run a step to its end and see that nothing is left open."""
        if self.name == "calm":
            self.put_files(step)
        began = time.monotonic()
        self._start(step)
        if self.workshop.ended() != 0:
            raise RuntimeError(f"{self.name}: `forecastle {step}` failed: {self.workshop.said[-3000:]}")
        took = time.monotonic() - began
        summary.problems += [f"{self.name}: after `forecastle {step}`: {line}" for line in _left_over(self.url)]
        return Measured(took, len(self.workshop.moments))

    def kill(self, step: Step, kill: Kill, measured: Measured) -> str:
        """Run a step and kill it, or its server, before it ends; return what was killed and where."""
        for nearer in _NEARER:
            where = kill.where * nearer
            if kill.how == "at a moment":
                self._start(step, kill_at=1 + int(where * measured.moments))
            else:
                pid = self._start(step)
                time.sleep(where * measured.seconds)
                with suppress(ProcessLookupError):
                    os.kill(self._postmaster() if kill.how == "its server" else pid, signal.SIGKILL)
            status = self.workshop.ended()
            self.server.up()
            if status != 0 if kill.how == "its server" else status == -signal.SIGKILL:
                reached = self.workshop.moments
                return f"{step}: killed {kill.how}, before moment {len(reached)}: {reached[-1] if reached else 'none'}"
        raise RuntimeError(f"`forecastle {step}` could not be killed {kill.how}")

    def content(self) -> dict[str, list[tuple[object, ...]]]:
        """All that there is."""
        return content(self.url, self.inbox)

    def _start(self, step: Step, kill_at: int | None = None) -> int:
        environment = {
            "FORECASTLE_DATABASE_URL": self.url,
            "FORECASTLE_INBOX": str(self.inbox),
            "FORECASTLE_SPEC": str(self.spec),
        }
        return self.workshop.start(list(step.arguments), environment, kill_at)

    def _postmaster(self) -> int:
        found = running(self.server.place, self.server.account)
        assert found is not None
        return found.pid


def _left_over(url: str) -> list[str]:
    """What is left open, once the server has seen that a process is gone."""
    deadline = time.monotonic() + 5
    while (lines := left_over(url)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return lines
