"""Runs `forecastle` in processes that can be killed, each a fork of one that has loaded all libraries.

One command a line of standard input, as JSON; the answers are two lines: the number of the process, and when it has
ended its exit status, negative where a signal ended it. A first line says that all is loaded.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

# What the commands would load: loaded once, before the first fork.
HEAVY = (
    "dbt.cli.main", "dbt.adapters.postgres", "great_expectations", "sklearn.ensemble", "onnx", "onnxruntime", "pandas",
    "pyarrow.csv", "exchange_calendars", "alembic.command", "sqlalchemy.dialects.postgresql.psycopg", "rich.progress",
    "jobs.daily", "jobs.train", "mlops.cli.commands", "mlops.checks", "mlops.training", "mlops.registry",
)  # fmt: skip


class Workshop:
    """The client's side: one process that forks others."""

    def __init__(self, folder: Path) -> None:
        """Keep what the commands print in `folder`."""
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kills.workshop"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])},
        )
        self.loaded = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)

    def wait_until_loaded(self) -> None:
        """Wait until commands start at once."""
        if not self.loaded:
            self._answer()
        self.loaded = True

    def start(self, arguments: list[str], environment: dict[str, str], kill_at: int | None = None) -> int:
        """Start a command and return the number of its process."""
        command = {
            "arguments": arguments,
            "environment": environment,
            "kill_at": kill_at,
            "said": str(self.folder / "said"),
            "record": str(self.folder / "moments"),
        }
        self.wait_until_loaded()
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def ended(self) -> int:
        """Wait for the command's end and return its exit status."""
        return self._answer()

    @property
    def said(self) -> str:
        """What the last command printed."""
        return (self.folder / "said").read_text("utf-8", "replace")

    @property
    def moments(self) -> list[str]:
        """The moments that the last command came to."""
        return (self.folder / "moments").read_text("utf-8", "replace").splitlines()

    def _answer(self) -> int:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the workshop has ended with exit status {self.process.wait()}")
        return int(line)


def serve() -> None:
    """Take commands until standard input ends."""
    for module in HEAVY:
        __import__(module)
    from mlops.features import runner

    runner.views()  # reads the dbt project
    print(os.getpid(), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        child = os.fork()
        if child == 0:
            _run(command)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _run(command: dict[str, Any]) -> None:
    """Be the command: `forecastle` with its arguments, environment and output."""
    from kills.moments import Moments
    from mlops.cli import main

    said = os.open(command["said"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(said, 1)
    os.dup2(said, 2)
    os.environ.update(command["environment"])
    sys.argv = ["forecastle", *command["arguments"], "--debug"]
    Moments(Path(command["record"]), command["kill_at"]).watch()
    status = 70
    try:
        main()
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        logging.exception("%s", " ".join(sys.argv))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve()
