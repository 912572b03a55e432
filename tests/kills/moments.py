"""The moments of a command: each statement, each commit, each file that is moved or deleted."""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

_FILE_EVENTS = {"os.rename": "move", "os.remove": "delete", "os.mkdir": "make folder"}


class Moments:
    """Writes down each moment of this process before it comes, in `record`; at the moment `kill_at` it is killed."""

    def __init__(self, record: Path, kill_at: int | None) -> None:
        self.descriptor = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self.kill_at = kill_at
        self.n = 0

    def watch(self) -> None:
        """Begin to count."""
        event.listen(Engine, "before_cursor_execute", self._statement)
        event.listen(Engine, "commit", lambda _connection: self._comes("COMMIT"))
        sys.addaudithook(self._file)

    def _statement(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        self._comes(" ".join(re.sub(r"--[^\n]*", "", statement).split()))

    def _file(self, name: str, arguments: tuple[Any, ...]) -> None:
        if name in _FILE_EVENTS:
            self._comes(f"{_FILE_EVENTS[name]} {Path(os.fsdecode(arguments[0])).name}")

    def _comes(self, what: str) -> None:
        self.n += 1
        os.write(self.descriptor, f"{what[:90]}\n".encode())
        if self.n == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
