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
    parent = Path(tempfile.gettempdir())
    folder = parent / f"{PREFIX}{run}"
    server = fast_server(folder)
    with _exclusively(parent):
        _sweep(parent)
        users = folder / "users"
        users.mkdir(parents=True, exist_ok=True)
        me = users / str(os.getpid())
        me.touch()
        folder.chmod(0o755)
    try:
        yield server.up().url
    finally:
        with _exclusively(parent):
            me.unlink()
            if not any(users.iterdir()):
                remove(server)


def remove(server: EmbeddedServer) -> None:
    """Stop a server and delete its folder."""
    server.down()
    shutil.rmtree(server.folder)


@contextmanager
def _exclusively(parent: Path) -> Iterator[None]:
    # Others may have put a link in its place: the folder is for all.
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(parent / f"{PREFIX}{os.geteuid()}.lock", flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sweep(parent: Path) -> None:
    """End the servers of runs that were killed: none of their processes is alive any more."""
    for folder in parent.glob(f"{PREFIX}*/users"):
        if folder.stat().st_uid == os.geteuid() and not any(_alive(user.name) for user in folder.iterdir()):
            remove(fast_server(folder.parent))


def _alive(pid: str) -> bool:
    return Path("/proc", pid).exists()
