"""PostgreSQL's programs: a set that is installed on the machine, or the private copy.

They are run as the server's account, even to ask for their version, and root takes none that anybody else could have
changed.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mlops.embedded.account import Account
from mlops.embedded.ownership import changeable_by_others

OLDEST = 15
"""The first major version of PostgreSQL that Forecastle's SQL runs on."""

_NEEDED = ("postgres", "initdb", "pg_ctl")


@dataclass(frozen=True, slots=True)
class Programs:
    """A folder with PostgreSQL's programs, of one major version, that find a TimescaleDB."""

    folder: Path
    major: int
    private: bool = False

    def path(self, name: str) -> Path:
        """Return where the program `name` is."""
        return self.folder / name


def installed(account: Account) -> list[Programs]:
    """Return every installed PostgreSQL that has TimescaleDB and is new enough, newest first."""
    found = (programs_in(folder, account) for folder in dict.fromkeys(_folders(account)))
    return sorted((one for one in found if one is not None), key=lambda one: one.major, reverse=True)


def programs_in(folder: Path, account: Account, *, private: bool = False) -> Programs | None:
    """Return the programs in `folder`, or None where some are missing, not safe, too old, or without TimescaleDB."""
    if not all(_is_safe(folder / name) for name in _NEEDED):
        return None
    try:
        answer = account.run([folder / "postgres", "--version"])
    except OSError:
        return None
    version = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    if answer.returncode != 0 or version is None or int(version[1]) < OLDEST:
        return None
    major = int(version[1])
    if not any((share / "extension" / "timescaledb.control").is_file() for share in _shares(folder, major, account)):
        return None
    return Programs(folder, major, private)


def _is_safe(program: Path) -> bool:
    """Tell whether `program` is there and, where we are root, nobody else could have changed it."""
    try:
        return program.is_file() and (os.geteuid() != 0 or changeable_by_others(program) is None)
    except OSError:
        return False


def _folders(account: Account) -> Iterator[Path]:
    pg_config = shutil.which("pg_config")
    if pg_config:
        yield from _asked(Path(pg_config), "--bindir", account)
    for pattern in ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "usr/local/pgsql/bin"):
        yield from sorted(Path("/").glob(pattern))


def _shares(folder: Path, major: int, account: Account) -> Iterable[Path]:
    """Where extensions may be: what pg_config says, else where Debian, the RPMs and a plain build put them."""
    yield from _asked(folder / "pg_config", "--sharedir", account)
    root = folder.parents[3] if folder.match("lib/postgresql/*/bin") else folder.parent
    yield root / "share" / "postgresql" / str(major)
    yield folder.parent / "share"
    yield folder.parent / "share" / "postgresql"


def _asked(pg_config: Path, option: str, account: Account) -> Iterator[Path]:
    if not _is_safe(pg_config):
        return
    try:
        answer = account.run([pg_config, option])
    except OSError:
        return
    if answer.returncode == 0 and answer.stdout.strip():
        yield Path(answer.stdout.strip())
