"""Where an embedded server keeps its things, and the lock that lets one process at a time touch them.

folder/cluster/data          the data folder (PGDATA), entered only by the server's account
folder/cluster/server.log    what the server has to say
folder/passwords.json        one password a login, mode 0600
folder/served_by             where the programs are that served the data last
folder/lock                  held while a server is made, started or stopped

The cluster folder belongs to the server's account, everything else to the user alone. What the user's processes are to
believe (passwords, which programs to run) is written down outside of the cluster folder.
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

from mlops.embedded.failures import explained
from mlops.embedded.ownership import others_only_read, require_own_folder
from mlops.embedded.progress import Progress
from mlops.exceptions import EmbeddedServerError

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

    @property
    def served_by(self) -> Path:
        """The file that says where the programs are that served the data last."""
        return self.folder / "served_by"

    def last_programs(self) -> Path | None:
        """Return the folder of the programs that served the data last."""
        try:
            return Path(self.served_by.read_text("utf-8").strip())
        except FileNotFoundError:
            return None

    def keep_programs(self, folder: Path) -> None:
        """Write down which programs serve the data. Call it only while holding the lock."""
        if self.last_programs() != folder:
            self._keep(self.served_by, f"{folder}\n")

    def password(self, login: str) -> str:
        """Return the password of `login`, made up at the first call. Call it only while holding the lock."""
        known = self.known_passwords()
        if login not in known:
            self.keep_password(login, new_password())
        return self.known_passwords()[login]

    def keep_password(self, login: str, word: str) -> None:
        """Write down the password of `login`. Call it only while holding the lock."""
        self._keep(self.passwords, json.dumps(self.known_passwords() | {login: word}, indent=1))

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

    def _keep(self, path: Path, text: str) -> None:
        """Make `text` the content of `path`, for the user's eyes alone, at once or not at all."""
        draft = path.with_suffix(".new")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)


def new_password() -> str:
    """Return a password nobody can guess, of characters that a URL and a shell take as they are."""
    return secrets.token_urlsafe(24)


@contextmanager
def locked(path: Path, progress: Progress) -> Iterator[None]:
    """Hold the lock file `path` for the length of the block, waiting for whoever holds it; make its folder first.

    The lock goes with the process that holds it, however that ends. Raises EmbeddedServerError where the folder is one
    that other users can change: nothing in it could be believed then.
    """
    with explained(path.parent), others_only_read():
        path.parent.mkdir(parents=True, exist_ok=True)
        require_own_folder(path.parent)
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
