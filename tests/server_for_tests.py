"""One embedded server for a whole test run, however many processes of pytest-xdist take part in it."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlops.embedded import EmbeddedServer, embedded_server
from mlops.settings import load

PREFIX = "forecastle-test-"
"""The folders lie directly in the system's temporary folder: pytest's own are closed to the account that the server has
to run under when root runs the tests."""

IN_MEMORY = Path("/dev/shm")  # noqa: S108 -- where Linux keeps files in memory
ROOM = 6 * 2**30
"""Bytes that have to be free in memory for the shared server to lie there."""

USERS_HOME = embedded_server(load()).home
"""The folder of the user's own embedded server, where it is now. Its programs serve the tests, too."""

os.environ.setdefault("FORECASTLE_HOME", str(USERS_HOME))  # no command that a test runs moves a folder that is named


@contextmanager
def open_folder(name: str) -> Iterator[Path]:
    """A folder that every account of the machine can enter, deleted at the end."""
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{name}-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fast_server(folder: Path, **extra: str) -> EmbeddedServer:
    """A server whose data is in `folder`, fast and not safe against a power cut, with the user's own programs."""
    settings = {"shared_buffers": "256MB", "max_connections": "200", **extra}
    return EmbeddedServer(folder=folder, home=USERS_HOME, durable=False, extra=settings)


@contextmanager
def shared_server(run: str) -> Iterator[str]:
    """URL of the server of the test run `run`, as its superuser: the first to enter starts it, the last ends it."""
    with _exclusively():
        _sweep()
        folder = _folder(f"{PREFIX}{run}")
        server = fast_server(folder)
        users = folder / "users"
        users.mkdir(parents=True, exist_ok=True)
        me = users / str(os.getpid())
        me.touch()
        folder.chmod(0o755)
    try:
        yield server.up().url
    finally:
        with _exclusively():
            me.unlink()
            if not any(users.iterdir()):
                remove(server)


def remove(server: EmbeddedServer) -> None:
    """Stop a server and delete its folder."""
    server.down()
    shutil.rmtree(server.folder)


def _parents() -> list[Path]:
    return [parent for parent in (IN_MEMORY, Path(tempfile.gettempdir())) if os.access(parent, os.W_OK)]


def _folder(name: str) -> Path:
    """Return the folder of that name: where it is already, else in memory where there is room, else on disk.

    Each test clones a database, which is a thousand files: 0.5 s on a disk, 0.07 s in memory.
    """
    there = [parent / name for parent in _parents() if (parent / name).exists()]
    roomy = [parent / name for parent in _parents() if parent != IN_MEMORY or shutil.disk_usage(parent).free >= ROOM]
    return (there or roomy)[0]


@contextmanager
def _exclusively() -> Iterator[None]:
    # Others may have put a link in its place: the folder is for all.
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(Path(tempfile.gettempdir()) / f"{PREFIX}{os.geteuid()}.lock", flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sweep() -> None:
    """End the servers of runs that were killed: none of their processes is alive any more."""
    for parent in _parents():
        for folder in parent.glob(f"{PREFIX}*/users"):
            if folder.stat().st_uid == os.geteuid() and not any(_alive(user.name) for user in folder.iterdir()):
                remove(fast_server(folder.parent))


def _alive(pid: str) -> bool:
    return Path("/proc", pid).exists()
