"""PostgreSQL's programs: a set that is installed on the machine, or the private copy."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mlops.warehouse.embedded.account import Account

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


def installed() -> list[Programs]:
    """Return every installed PostgreSQL that has TimescaleDB and is new enough, newest first."""
    found = (programs_in(folder) for folder in dict.fromkeys(_folders()))
    return sorted((one for one in found if one is not None), key=lambda one: one.major, reverse=True)


def programs_in(folder: Path, *, private: bool = False) -> Programs | None:
    """Return the programs in `folder`, or None where some are missing, too old, or without TimescaleDB."""
    if not all((folder / name).is_file() for name in _NEEDED):
        return None
    try:
        answer = Account().run([folder / "postgres", "--version"])
    except OSError:
        return None
    version = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    if answer.returncode != 0 or version is None or int(version[1]) < OLDEST:
        return None
    major = int(version[1])
    if not any((share / "extension" / "timescaledb.control").is_file() for share in _shares(folder, major)):
        return None
    return Programs(folder, major, private)


def _folders() -> Iterator[Path]:
    pg_config = shutil.which("pg_config")
    if pg_config:
        yield from _asked(Path(pg_config), "--bindir")
    for pattern in ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "usr/local/pgsql/bin"):
        yield from sorted(Path("/").glob(pattern))


def _shares(folder: Path, major: int) -> Iterable[Path]:
    """Where extensions may be: what pg_config says, else where Debian, the RPMs and a plain build put them."""
    yield from _asked(folder / "pg_config", "--sharedir")
    root = folder.parents[3] if folder.match("lib/postgresql/*/bin") else folder.parent
    yield root / "share" / "postgresql" / str(major)
    yield folder.parent / "share"
    yield folder.parent / "share" / "postgresql"


def _asked(pg_config: Path, option: str) -> Iterator[Path]:
    if not pg_config.is_file():
        return
    try:
        answer = Account().run([pg_config, option])
    except OSError:
        return
    if answer.returncode == 0 and answer.stdout.strip():
        yield Path(answer.stdout.strip())
