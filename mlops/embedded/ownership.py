"""Whether what lies at a path is what its owner put there, or other users of the machine could have a hand in it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlops.exceptions import EmbeddedServerError

_ROOT = 0
_WRITTEN_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_MOST_LINKS = 40  # as the kernel has it


def changeable_by_others(path: Path) -> Path | None:
    """Return the first file, folder or link on the way to `path` that somebody other than root could change, or None.

    Each step is looked at as the kernel takes it, links included. A folder that many may write counts as safe where it
    is sticky, as /tmp is: what root has in it nobody else can move away, and what lies at the next step is looked at,
    too. Raises OSError where there is nothing at the path.
    """
    here, ahead, links = Path("/"), list(reversed(path.absolute().parts[1:])), 0
    while True:
        found = here.lstat()
        if found.st_uid != _ROOT:
            return here
        if stat.S_ISLNK(found.st_mode):
            links += 1
            if links > _MOST_LINKS:
                return here
            target = here.readlink()
            ahead += reversed(target.parts[1:] if target.is_absolute() else target.parts)
            here = Path("/") if target.is_absolute() else here.parent
        elif found.st_mode & _WRITTEN_BY_OTHERS and not (ahead and _is_sticky_folder(found.st_mode)):
            return here
        if not ahead:
            return None
        step = ahead.pop()
        here = here.parent if step == ".." else here / step


def require_own_folder(folder: Path) -> None:
    """Raise EmbeddedServerError where other users could put something of theirs into `folder`, which exists.

    For root nobody else may be able to change any folder on the way to it; for other users it is enough that the folder
    belongs to them and not everybody may write in it.
    """
    if os.geteuid() == _ROOT:
        at_fault = changeable_by_others(folder)
    else:
        found = folder.stat()
        at_fault = folder if found.st_uid != os.geteuid() or found.st_mode & stat.S_IWOTH else None
    if at_fault is not None:
        raise EmbeddedServerError(
            f"Other users of this machine can change {at_fault}, and with it the programs and passwords that "
            f"Forecastle keeps in {folder}. Let it belong to you with `chown` and take their rights with `chmod go-w`, "
            "or set FORECASTLE_HOME to another folder.",
            folder=at_fault,
        )


@contextmanager
def others_only_read() -> Iterator[None]:
    """Let nobody else write what this process makes within the block, whatever umask it was started with."""
    before = os.umask(0o077)
    os.umask(before | _WRITTEN_BY_OTHERS)
    try:
        yield
    finally:
        os.umask(before)


def _is_sticky_folder(mode: int) -> bool:
    return stat.S_ISDIR(mode) and bool(mode & stat.S_ISVTX)
