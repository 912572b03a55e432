"""The running server: whether there is one, starting it, stopping it."""

from __future__ import annotations

import re
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from mlops.embedded.account import Account
from mlops.embedded.failures import failed
from mlops.embedded.place import Place
from mlops.embedded.programs import Programs
from mlops.exceptions import EmbeddedServerError

_PORTS = range(15432, 15532)
_PATIENCE = 300  # seconds; replaying the log after a crash takes its time
_HALF_DELETED = re.compile(r'could not create file "[^"]*": File exists')
"""Where the server was killed while a session was making an unlogged table, as a migration does: the session still
deleted half of the table's files, and recovery stumbles over the rest. It has put the files right by then, and the next
start finds nothing amiss."""

_LONG_LOG = 10_000_000  # bytes
_TAKEN = re.compile(r"could not bind|Address already in use|could not create any TCP/IP sockets")


@dataclass(frozen=True, slots=True)
class Postmaster:
    """The server that is running on a data folder."""

    pid: int
    port: int
    ready: bool


class PortTakenError(EmbeddedServerError):
    """The port was taken by another program between looking and listening."""


def running(place: Place, account: Account) -> Postmaster | None:
    """Return the server that runs on the data folder, or None.

    A pid file alone says nothing: its process may be dead, or its number may be another program's by now.
    """
    lines = (account.read(place.data / "postmaster.pid") or "").splitlines()
    if len(lines) < 4 or not lines[0].strip().isdecimal() or not lines[3].strip().isdecimal():
        return None
    pid = int(lines[0])
    if account.working_folders(str(pid)).get(pid) != place.data:
        return None
    return Postmaster(pid, int(lines[3]), ready=len(lines) >= 8 and lines[7].strip() == "ready")


def wait_until_ready(place: Place, account: Account) -> Postmaster | None:
    """Return the running server once it takes connections; None where none runs. Raises EmbeddedServerError."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        server = running(place, account)
        if server is None or server.ready:
            return server
        time.sleep(0.1)
    raise EmbeddedServerError(
        f"The embedded TimescaleDB runs but takes no connections after {_PATIENCE} s. Its log: {place.log}.",
        log=place.log,
    )


def start(place: Place, programs: Programs, account: Account) -> Postmaster:
    """Start the server on a data folder that is configured, in a session of its own, and wait until it answers.

    Raises PortTakenError, or EmbeddedServerError with the reason that the log gives.
    """
    _clear_the_way(place, account)
    server, said = _try(place, programs, account)
    if server is None and _HALF_DELETED.search(said):
        server, said = _try(place, programs, account)
    if server is not None:
        return server
    if _TAKEN.search(said):
        raise PortTakenError
    raise failed("The embedded TimescaleDB did not start", said, place.folder, place.log)


def _try(place: Place, programs: Programs, account: Account) -> tuple[Postmaster | None, str]:
    """Start the server; return it, or None and what it said."""
    before = account.size(place.log)
    if before > _LONG_LOG:
        account.move(place.log, place.log.with_suffix(".log.old"))
        before = 0
    where: list[str | Path] = ["--pgdata", place.data, "--log", place.log]
    answer = account.run([programs.path("pg_ctl"), "start", *where, "--wait", "--timeout", str(_PATIENCE)])
    server = running(place, account)
    if answer.returncode == 0 and server is not None:
        return server, ""
    return None, account.read(place.log, since=before) or answer.stdout


def stop(place: Place, programs: Programs, account: Account) -> bool:
    """Stop the server, breaking off what it is doing; nothing that was committed is lost. False where none runs."""
    if running(place, account) is None:
        return False
    answer = account.run(
        [
            programs.path("pg_ctl"),
            "stop",
            "--pgdata",
            place.data,
            "--mode",
            "fast",
            "--wait",
            "--timeout",
            str(_PATIENCE),
        ]
    )
    if answer.returncode != 0 and running(place, account) is not None:
        raise failed("The embedded TimescaleDB did not stop", answer.stdout, place.folder, place.log)
    return True


def free_port(preferred: int | None) -> int:
    """Return `preferred` where nobody listens there, else a port that is free: a low one, or whichever there is."""
    for port in [*([preferred] if preferred else []), *_PORTS, 0]:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise EmbeddedServerError("No port of 127.0.0.1 is free for the embedded TimescaleDB.")


def _clear_the_way(place: Place, account: Account) -> None:
    """Wait for what a killed server left behind to end, then put away a pid file that is nobody's.

    PostgreSQL itself takes over the pid file of a dead process, and refuses where the file is damaged or the number has
    become that of another program. Only that is left to us: nobody serves the folder, and nobody can begin to while we
    hold the lock.
    """
    deadline = time.monotonic() + 30
    while left := [pid for pid, folder in account.working_folders().items() if folder == place.data]:
        if time.monotonic() > deadline:
            raise EmbeddedServerError(
                f"Processes of an earlier server still use {place.data}: {', '.join(map(str, left))}. End them "
                "(`kill`, not `kill -9`), then run `forecastle db up`."
            )
        time.sleep(0.1)
    pid_file = place.data / "postmaster.pid"
    number = (account.read(pid_file) or "").split("\n", 1)[0].strip()
    if not number.isdecimal() or Path("/proc", number).exists():
        account.remove(pid_file)
