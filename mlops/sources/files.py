"""Files of rows: Parquet or CSV, recognised by their content; a `.csv.gz` is unpacked as it is read."""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import stat
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from io import BufferedIOBase, BufferedReader
from pathlib import Path

from mlops.exceptions import ForecastleError, SourceError
from mlops.printable import printable
from mlops.sources.delimited import read_delimited
from mlops.sources.layout import Batch, Layout, assign_columns
from mlops.sources.parquet import read_parquet

_PARQUET, _GZIP = b"PAR1", b"\x1f\x8b"
_REFUSED = {
    b"PK\x03\x04": "is a zip archive or an Excel workbook. Unpack it, or save it as CSV",
    b"\xd0\xcf\x11\xe0": "is an Excel workbook. Save it as CSV",
    b"ARROW1": "is an Arrow (Feather) file. Write it as Parquet",
    b"\xff\xfe": "is text in UTF-16. Save it in UTF-8",
    b"\xfe\xff": "is text in UTF-16. Save it in UTF-8",
}
_OF_THE_MACHINE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""Errors that are not the file's."""
_UNPACKED_ANYHOW = 64 << 20
_UNPACKED_TIMES = 200
"""A gzip stream may have 64 MiB, or 200 times its own size: prices have ten to twenty times, zeros a thousand."""


class FileSource:
    """A file of bars or earnings.

    `mapping` says which column holds which field where the names do not; `symbol` stands for a column of symbols in a
    file of one. `opened` opens the file where its name alone does not do, as in an inbox. Nothing is read before
    `batches`; after it, `ignored` has the names of the columns that no field is in.
    """

    def __init__(
        self,
        path: Path,
        *,
        mapping: Mapping[str, str] | None = None,
        symbol: str | None = None,
        opened: Callable[[], BufferedReader] | None = None,
    ) -> None:
        self.path = path
        self.open = opened or partial(open_regular, path)
        self.mapping = dict(mapping or {})
        self.constants = {"symbol": symbol} if symbol else {}
        self.sha256: str | None = None
        self.ignored: list[str] = []

    @property
    def name(self) -> str:
        """The file's path as it was given, what cannot be printed in it as escapes."""
        return printable(str(self.path))

    def require(self) -> None:
        """Return where the file is there and can be opened. Raises SourceError, saying why not."""
        with self._opened():
            pass

    def batches(self, layout: Layout) -> Iterator[Batch]:
        """Yield the rows of the file. Raises SourceError, saying what is wrong with the file and what to do."""
        import pyarrow as pa

        with self._opened() as stream:
            before = os.fstat(stream.fileno())
            self.sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            stream.seek(0)
            n_rows = 0
            for batch in self._content(stream, layout):
                n_rows += batch.table.num_rows + len(batch.rejections)
                table = batch.table
                for name, value in self.constants.items():
                    if name not in table.column_names:
                        table = table.append_column(name, pa.repeat(value, table.num_rows))
                yield Batch(table, batch.rejections)
            after = os.fstat(stream.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise SourceError(f"{self.name} was written to while it was read. Try again when it is whole.")
        if n_rows == 0:
            raise SourceError(f"{self.name} has a header and no rows.", file=self.name)

    @contextmanager
    def _opened(self) -> Iterator[BufferedReader]:
        try:
            with self.open() as stream:
                yield stream
        except _NotRegularError as error:
            raise SourceError(
                f"{self.name} is a pipe, a terminal or a device, and a file is read twice. Write it to a file first: "
                "`cat > bars.csv`, for example.",
                file=self.name,
            ) from error
        except FileNotFoundError as error:
            raise SourceError(f"There is no file {self.name}.", file=self.name) from error
        except IsADirectoryError as error:
            raise SourceError(f"{self.name} is a folder. Name one file.", file=self.name) from error
        except PermissionError as error:
            raise SourceError(
                f"{self.name} may not be read by this user. Change its permissions.", file=self.name
            ) from error
        except OSError as error:
            if error.errno in _OF_THE_MACHINE:
                raise ForecastleError(f"{self.name} cannot be read now: {error.strerror}. Try again.") from error
            raise SourceError(f"{self.name} cannot be read: {error.strerror or error}.", file=self.name) from error

    def _content(self, stream: BufferedReader, layout: Layout) -> Iterator[Batch]:
        head = stream.read(8)
        stream.seek(0)
        if not head:
            raise SourceError(f"{self.name} is empty. Write the file again.", file=self.name)
        for magic, message in _REFUSED.items():
            if head.startswith(magic):
                raise SourceError(f"{self.name} {message}.", file=self.name)
        if head.startswith(_PARQUET):
            yield from read_parquet(stream, partial(self._assigned, layout), self.name)
        elif self.path.suffix.lower() in {".parquet", ".pq"}:
            raise SourceError(
                f"{self.name} is not Parquet, whatever its name says. Write it again, or name it .csv if it is text.",
                file=self.name,
            )
        elif head.startswith(_GZIP):
            yield from self._gzipped(stream, layout)
        else:
            yield from self._delimited(stream, layout)

    def _delimited(self, stream: BufferedIOBase, layout: Layout) -> Iterator[Batch]:
        return read_delimited(stream, partial(self._assigned, layout), self.name)

    def _assigned(self, layout: Layout, found: list[str]) -> dict[str, int]:
        assigned = assign_columns(found, layout, self.mapping, self.constants, self.name)
        taken = set(assigned.values())
        self.ignored[:] = [name for position, name in enumerate(found) if position not in taken]
        return assigned

    def _gzipped(self, stream: BufferedReader, layout: Layout) -> Iterator[Batch]:
        try:
            with gzip.GzipFile(fileobj=stream, mode="rb") as unpacked:
                yield from self._delimited(_Bounded(unpacked, self._most_unpacked(stream), self.name), layout)
        except EOFError as error:
            raise SourceError(f"{self.name} is cut off: its gzip stream has no end. Get the whole file.") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise SourceError(f"{self.name} is damaged: {error}. Get the file again.", file=self.name) from error

    @staticmethod
    def _most_unpacked(stream: BufferedReader) -> int:
        return max(_UNPACKED_ANYHOW, _UNPACKED_TIMES * os.fstat(stream.fileno()).st_size)


class _Bounded(BufferedIOBase):
    """Reads `stream` up to a number of bytes; more of them raise SourceError."""

    def __init__(self, stream: BufferedIOBase, most: int, where: str) -> None:
        self.stream, self.left, self.where = stream, most, where

    def read(self, size: int | None = -1, /) -> bytes:
        data = self.stream.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise SourceError(
                f"{self.where} unpacks to more than {_UNPACKED_TIMES} times its size, which prices never do. "
                "Write it again.",
                file=self.where,
            )
        return data


class _NotRegularError(OSError):
    """What was opened is no regular file but a pipe, a terminal or a device."""


def open_regular(path: str | Path, *, flags: int = 0, folder: int | None = None) -> BufferedReader:
    """Open a regular file for reading, without waiting for a pipe. What was opened is checked, not the path.

    `flags` are more flags of open(2); `folder` is the descriptor of the folder in which a relative `path` lies. Raises
    OSError: IsADirectoryError among others, and one of its own for a pipe, a terminal, a socket or a device.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | flags, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket, or a device that is not there
            raise _NotRegularError(path) from error
        raise
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(path)
        if not stat.S_ISREG(mode):
            raise _NotRegularError(path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise
