"""Turn what the operating system and PostgreSQL's programs say into one or two lines for a person."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlops.exceptions import EmbeddedServerError

_FULL = re.compile(r"No space left on device|Disk quota exceeded|You don't have enough free space", re.IGNORECASE)
_WORST = re.compile(r"\b(?:FATAL|PANIC|ERROR|error|E): +(.+)")
_NOTHING = 1024 * 1024


def disk_full(folder: Path) -> EmbeddedServerError:
    """Return the error for a disk without room; what was half done has been put away."""
    return EmbeddedServerError(
        f"The disk that holds {folder} is full. Nothing is lost: free some space (a first start needs 400 MB), "
        "or set FORECASTLE_HOME to a folder on another disk.",
        folder=folder,
    )


def failed(what: str, output: str, folder: Path, log: Path | None = None) -> EmbeddedServerError:
    """Return the error for `what` that ended with `output`: its worst line, and where the log is."""
    if _FULL.search(output) or _free(folder) < _NOTHING:
        return disk_full(folder)
    worst = _WORST.findall(output)
    lines = [line for line in output.splitlines() if line.strip()]
    reason = worst[0] if worst else (lines[-1] if lines else "it said nothing")
    reason = "".join(letter if letter.isprintable() else " " for letter in reason)  # a terminal would obey the rest
    where = f" Its log: {log}." if log else ""
    return EmbeddedServerError(f"{what}: {reason.strip().rstrip('.')}.{where}", output=output, log=log)


def _free(folder: Path) -> int:
    """Return how many bytes are free: on a full disk the log that would say so could not be written either."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(existing).free


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn an error of the operating system into one that says what to do about `folder`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(folder) from error
        where = error.filename or folder
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise EmbeddedServerError(
                f"{where} may not be read or written by this user. Give it the right owner and permissions, "
                "or set FORECASTLE_HOME to a folder of your own.",
                folder=folder,
            ) from error
        raise EmbeddedServerError(
            f"{where}: {error.strerror or error}. FORECASTLE_HOME may name another folder."
        ) from error
