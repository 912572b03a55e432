"""Where an embedded server keeps its things, and the lock that lets one process at a time touch them.

folder/cluster/data          the data folder (PGDATA), entered only by the server's account
folder/cluster/server.log    what the server has to say
folder/passwords.json        one password a login, mode 0600
folder/lock                  held while a server is made, started or stopped
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlops.exceptions import EmbeddedServerError
from mlops.warehouse.embedded.failures import explained
from mlops.warehouse.embedded.progress import Progress

ADMIN = "forecastle"
"""The login that owns everything on the embedded server, and the name of the database."""


@dataclass(frozen=True, slots=True)
class Place:
    """The folder of one embedded server."""

    folder: Path

    @property
    def cluster(self) -> Path:
        """What belongs to the account that the server runs under."""
        return self.folder / "cluster"

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.cluster / "data"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.cluster / "server.log"

    @property
    def passwords(self) -> Path:
        """The file with the passwords."""
        return self.folder / "passwords.json"

    def password(self, login: str) -> str:
        """Return the password of `login`, made up at the first call. Call it only while holding the lock."""
        known = self.known_passwords()
        if login not in known:
            self.keep_password(login, new_password())
        return self.known_passwords()[login]

    def keep_password(self, login: str, word: str) -> None:
        """Write down the password of `login`. Call it only while holding the lock."""
        known = self.known_passwords() | {login: word}
        draft = self.passwords.with_suffix(".new")
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        with draft.open("w", encoding="utf-8") as file:
            json.dump(known, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.passwords)

    def known_passwords(self) -> dict[str, str]:
        """Return all passwords by login. Raises EmbeddedServerError where the file is damaged."""
        if not self.passwords.exists():
            return {}
        try:
            return {str(login): str(word) for login, word in json.loads(self.passwords.read_text("utf-8")).items()}
        except (ValueError, AttributeError) as error:
            raise EmbeddedServerError(
                f"{self.passwords} cannot be read. Move it away and run `forecastle db down`, then `forecastle db up`: "
                "new passwords are made, the data stays."
            ) from error


def new_password() -> str:
    """Return a password nobody can guess, of characters that a URL and a shell take as they are."""
    return secrets.token_urlsafe(24)


@contextmanager
def locked(path: Path, progress: Progress) -> Iterator[None]:
    """Hold the lock file `path` for the length of the block, waiting for whoever holds it; make its folder first.

    The lock goes with the process that holds it, however that ends.
    """
    with explained(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("Waiting for another forecastle that is at the embedded server", None)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
