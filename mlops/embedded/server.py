"""One embedded server: made at its first use, started where it does not run, stopped when asked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlops.embedded.account import Account, server_account
from mlops.embedded.cluster import (
    configure,
    create,
    data_major,
    remembered_port,
    single_user,
)
from mlops.embedded.databases import close_to_public
from mlops.embedded.failures import explained
from mlops.embedded.place import ADMIN, Place, locked, new_password
from mlops.embedded.postmaster import (
    PortTakenError,
    Postmaster,
    free_port,
    running,
    start,
    stop,
    wait_until_ready,
)
from mlops.embedded.private_copy import MAJOR, fetch, private_copy
from mlops.embedded.programs import Programs, installed, programs_in
from mlops.embedded.progress import Progress, silent
from mlops.exceptions import EmbeddedServerError


@dataclass(frozen=True, slots=True)
class Started:
    """What `up` did: the server's URL, and whether it was started by this call and made by this call."""

    url: str
    started: bool
    created: bool


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """The server whose data is in `folder`, run by programs that are installed or kept in `home`.

    `durable=False` trades the data's safety at a power cut for speed, and `extra` adds settings of PostgreSQL: for
    tests.
    """

    folder: Path
    home: Path
    durable: bool = True
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def place(self) -> Place:
        """Where its things are; canonical, since PostgreSQL and /proc name folders that way."""
        return Place(self.folder.resolve())

    @property
    def account(self) -> Account:
        """The account that it runs under. Raises EmbeddedServerError where there can be none."""
        return server_account(self.place.cluster)

    def up(self, progress: Progress = silent) -> Started:
        """Have the server running, making and starting it where need be. Two at once: one server.

        Raises EmbeddedServerError, which says what stands in the way; data that is there is never lost or replaced.
        """
        place = self.place
        with locked(self.folder / "lock", progress), explained(place.folder):
            account = self.account
            server = wait_until_ready(place, account)
            if server is not None:
                return Started(self._url(place, server), started=False, created=False)
            major = self._prepare(place, account)
            programs = self.programs(major, progress)
            account.require_entry(programs.folder)
            if major is None:
                progress("Making the database", None)
                create(place, programs, account, durable=self.durable)
            elif ADMIN not in place.known_passwords():
                word = new_password()
                statement = f"ALTER ROLE {ADMIN} PASSWORD '{word}'\n"
                single_user(place.data, programs, account, statement, durable=self.durable)
                place.keep_password(ADMIN, word)
            progress("Starting the database", None)
            url = self._url(place, self._start(place, programs, account))
            place.keep_programs(programs.folder)
            close_to_public(url, update_timescaledb=True)
            return Started(url, started=True, created=major is None)

    def is_running(self) -> bool:
        """Return whether the server is running, or about to."""
        return self.place.data.exists() and running(self.place, self.account) is not None

    def down(self, progress: Progress = silent) -> bool:
        """Stop the server; return whether it was running. Raises EmbeddedServerError where it does not stop."""
        place = self.place
        with explained(place.folder):
            if not place.data.exists():
                return False
        with locked(self.folder / "lock", progress), explained(place.folder):
            account = self.account
            if wait_until_ready(place, account) is None:
                return False
            return stop(place, self.programs(data_major(place, account), progress), account)

    def programs(self, major: int | None, progress: Progress = silent) -> Programs:
        """Return the programs to serve data of version `major` (None: any): those of the last time, installed, private.

        Raises EmbeddedServerError where there are none and none can be had.
        """
        account = self.account
        for one in self._candidates(account):
            if one is not None and major in (None, one.major):
                return one
        if major not in (None, MAJOR):
            raise EmbeddedServerError(
                f"The data in {self.place.data} is of PostgreSQL {major}, and no PostgreSQL {major} with TimescaleDB "
                "is installed here. Install it, or move the folder away and run `forecastle db up` for a new one.",
                major=major,
            )
        return fetch(self.home, account, progress)

    def _candidates(self, account: Account) -> Iterator[Programs | None]:
        last = self.place.last_programs()
        yield programs_in(last, account) if last else None
        yield from installed(account)
        yield private_copy(self.home.resolve(), account)

    def _prepare(self, place: Place, account: Account) -> int | None:
        place.cluster.mkdir(mode=0o700, exist_ok=True)
        if account.uid is not None and account.gid is not None and place.cluster.lstat().st_uid == 0:
            os.chown(place.cluster, account.uid, account.gid, follow_symlinks=False)
        account.require_entry(place.cluster)
        return data_major(place, account)

    def _start(self, place: Place, programs: Programs, account: Account) -> Postmaster:
        """Start on the port of the last time; on another where somebody else took it."""
        port = free_port(remembered_port(place, account))
        for _ in range(5):
            configure(place, account, programs.major, port=port, durable=self.durable, extra=self.extra)
            try:
                return start(place, programs, account)
            except PortTakenError:
                port = free_port(None)
        raise EmbeddedServerError("Every port that was tried is taken by another program. Run it again.")

    def _url(self, place: Place, server: Postmaster) -> str:
        word = place.known_passwords().get(ADMIN)
        if word is None:
            raise EmbeddedServerError(
                f"{place.passwords}, with the passwords, is gone. Run `forecastle db down`, then `forecastle db up`: "
                "new ones are made, the data stays."
            )
        return f"postgresql://{ADMIN}:{word}@127.0.0.1:{server.port}/{ADMIN}"
