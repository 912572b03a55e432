"""The inbox: a folder into which others put files, and where they go from there.

Whoever may write into it may put anything there: a link to a file that only we may read, a pipe into which nobody
writes, `done` as a link to a folder of somebody else. So all names are looked up in the folder that was opened, none is
followed, only a regular file with this one name is read, and what is checked is what was opened.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader
from itertools import count
from pathlib import Path

from mlops.exceptions import JobError, SourceError
from mlops.printable import printable
from mlops.sources.files import FileSource, open_regular

DONE, REFUSED = "done", "refused"
"""The folders in the inbox for what was taken in and for what was not."""
WHY = ".why.txt"
"""The end of the name of a text, which says why the file beside it was refused or still lies in the inbox."""

_LONGEST_NAME = 255  # bytes, on nearly all file systems
_SUFFIX = re.compile(r"\.(?:csv|parquet|csv\.gz)\Z", re.IGNORECASE)
_KINDS = {
    stat.S_IFLNK: "a link. Put the file itself into the inbox",
    stat.S_IFDIR: "a folder. Put the files in it into the inbox",
    stat.S_IFIFO: "a pipe. Write it to a file first",
}


@dataclass
class InboxFile:
    """One name in the inbox and what was seen under it: first by its name, then by opening it."""

    inbox: Inbox
    name: str
    seen: os.stat_result

    @property
    def shown(self) -> str:
        """The name, fit for a log."""
        return printable(self.name)

    def source(self) -> FileSource:
        """Return the file as a source, which opens it when it is read."""
        return FileSource(self.inbox.path / self.name, opened=self.open)

    def open(self) -> BufferedReader:
        """Open the file. Raises SourceError unless it is a regular file, with this one name, that can be shown."""
        if not stat.S_ISREG(self.seen.st_mode):
            kind = _KINDS.get(stat.S_IFMT(self.seen.st_mode), "no file but a device or a socket. Take it away")
            raise SourceError(f"{self.shown} is {kind}.")
        if not self.name.isprintable():
            raise SourceError(f"{self.shown} has characters in its name that cannot be printed. Rename it.")
        stream = open_regular(self.name, flags=os.O_NOFOLLOW, folder=self.inbox.descriptor)
        self.seen = os.fstat(stream.fileno())
        if self.seen.st_nlink > 1:
            stream.close()
            raise SourceError(f"{self.shown} has another name elsewhere (a hard link). Put a copy into the inbox.")
        return stream

    def is_still(self, other: os.stat_result) -> bool:
        """Tell whether `other` is what was seen, with nothing written to it since."""
        if (self.seen.st_dev, self.seen.st_ino) != (other.st_dev, other.st_ino):
            return False
        return not stat.S_ISREG(other.st_mode) or (
            (self.seen.st_size, self.seen.st_mtime_ns) == (other.st_size, other.st_mtime_ns)
        )


@dataclass(frozen=True)
class Inbox:
    """The folder at `path`, opened as `descriptor`. One process at a time may put files away."""

    path: Path
    descriptor: int

    @classmethod
    @contextmanager
    def opened(cls, path: Path) -> Iterator[Inbox]:
        """Open the folder for the length of the block. Raises JobError where it is none, or may not be read."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise JobError(f"The inbox {path} is not a folder. Make it, or correct FORECASTLE_INBOX.") from error
        except OSError as error:
            raise JobError(f"The inbox {path} cannot be read: {error.strerror}. Change its permissions.") from error
        try:
            if not os.access(".", os.R_OK | os.X_OK, dir_fd=descriptor, effective_ids=True):
                raise JobError(f"The inbox {path} may not be searched by this user. Change its permissions.")
            yield cls(path, descriptor)
        finally:
            os.close(descriptor)

    def files(self) -> Iterator[InboxFile]:
        """Yield what lies in the inbox, in the order of the names, each looked at when it is its turn.

        Names that begin with a dot are left out, and so are our own folders and texts.
        """
        with os.scandir(self.descriptor) as entries:
            names = sorted(entry.name for entry in entries)
        for name in names:
            if name.startswith(".") or name in {DONE, REFUSED} or name.endswith(WHY):
                continue
            try:
                seen = os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
            except FileNotFoundError:
                continue  # somebody was faster
            yield InboxFile(self, name, seen)

    def put_away(self, file: InboxFile, folder: str) -> str | None:
        """Move a file into `folder` and return its name there, which is a new one where that is taken.

        None where it stays, because it was written to or replaced since it was seen. Raises OSError where it cannot be
        moved: FileNotFoundError where it is gone.
        """
        with self._folder(folder) as target:
            name = _free(target, file.name)
            os.rename(file.name, name, src_dir_fd=self.descriptor, dst_dir_fd=target)
            if not file.is_still(os.stat(name, dir_fd=target, follow_symlinks=False)):
                back = _free(self.descriptor, file.name)
                os.rename(name, back, src_dir_fd=target, dst_dir_fd=self.descriptor)
                return None
        with suppress(OSError):
            os.unlink(_beside(file.name), dir_fd=self.descriptor)
        return name

    def explain(self, name: str, why: str, folder: str | None = None) -> None:
        """Write a text beside the file `name`, in `folder` or in the inbox itself. Raises OSError where that fails."""
        if folder is None:
            _write(self.descriptor, _beside(name), why)
            return
        with self._folder(folder) as target:
            _write(target, _beside(name), why)

    @contextmanager
    def _folder(self, name: str) -> Iterator[int]:
        """Open a folder of the inbox, made where it is not there, never somewhere else by way of a link."""
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=self.descriptor)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, dir_fd=self.descriptor)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def _free(folder: int, name: str) -> str:
    """Return `name`, or with a number before its suffix, so that neither it nor the text beside it is there already."""
    suffix = match.group() if (match := _SUFFIX.search(name)) else ""
    root = name.removesuffix(suffix)
    for number in count():
        tail = f".{number}{suffix}" if number else suffix
        candidate = _shortened(root, tail) + tail
        if not (_is_taken(folder, candidate) or _is_taken(folder, _beside(candidate))):
            break
    return candidate


def _beside(name: str) -> str:
    return _shortened(name, WHY) + WHY


def _shortened(name: str, tail: str) -> str:
    """Return as much of `name` as leaves room for `tail`."""
    most = _LONGEST_NAME - len(os.fsencode(tail))
    encoded = os.fsencode(name)
    return name if len(encoded) <= most else encoded[:most].decode("utf-8", "ignore")


def _is_taken(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _write(folder: int, name: str, text: str) -> None:
    """Write a small text, whole or not at all, and never through a link."""
    with suppress(FileNotFoundError):
        os.unlink(WHY, dir_fd=folder)  # of a process that was killed
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(WHY, flags, 0o644, dir_fd=folder), "w", encoding="utf-8") as file:
        file.write(f"{text}\n")
    os.rename(WHY, name, src_dir_fd=folder, dst_dir_fd=folder)
