"""CSV, block by block, each row with the number of the line it starts on.

Arrow's reader is fast but numbers no lines and stops at the first oddity. So the file is cut into blocks at the ends
of records (a newline outside quotes) with numpy, which also gives the line numbers, and Arrow parses each block. What
is held in memory is one block, however long the file is and whatever it holds: rows and headers have a limit.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mlops.exceptions import SourceError
from mlops.sources.layout import Batch, Rejection

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BLOCK_BYTES = 8 << 20
_BLOCK_RECORDS = 200_000
"""The most records of one batch: a line of one letter takes a thousand bytes of memory until it is rejected."""
_LONGEST_RECORD = 1 << 20
"""Bytes. A row of bars has a hundred; a thousand columns make ten thousand."""
_DELIMITERS = ",;\t|"
_NEWLINE, _RETURN, _QUOTE = 10, 13, 34


def read_delimited(
    stream: io.BufferedIOBase, assign: Callable[[list[str]], dict[str, int]], where: str
) -> Iterator[Batch]:
    """Yield the rows of a CSV file as text, in batches of some 100,000 lines.

    `assign` says of the names in the header which column holds which field. The delimiter (comma, semicolon, tab or
    bar) is told from the header. Blank lines are passed over but counted. A line with too many or too few values is a
    reason to reject that row, unless it is the last: then the file is cut off.
    Raises SourceError where the file is empty, cut off, no text in UTF-8, or has a row of more than a MiB.
    """
    reader: _BlockReader | None = None
    for first_line, block, is_last in _blocks(stream, where):
        if reader is not None:
            yield reader.read(first_line, block, is_last=is_last)
            continue
        header, n_lines, rest = _header(block, where)
        delimiter = max(_DELIMITERS, key=header.count)
        names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter))]
        reader = _BlockReader(len(names), assign(names), delimiter, where)
        if rest:
            yield reader.read(first_line + n_lines, rest, is_last=is_last)
    if reader is None:
        raise SourceError(f"{where} is empty. Write the file again.", file=where)


def _blocks(stream: io.BufferedIOBase, where: str) -> Iterator[tuple[int, bytes, bool]]:
    """Yield (line of the first byte, whole records, whether these are the last)."""
    import numpy as np

    line, carried, chunk = 1, b"", stream.read(_BLOCK_BYTES).removeprefix(b"\xef\xbb\xbf")
    while chunk or carried:
        following = stream.read(_BLOCK_BYTES)
        data = carried + chunk
        if b"\x00" in chunk:
            raise SourceError(f"{where} is neither CSV nor Parquet: it holds binary data.", file=where)
        if b"\r" in data and b"\n" not in data:
            data = data.replace(b"\r", b"\n")
        ends = _record_ends(np.frombuffer(data, dtype=np.uint8)) + 1
        whole = len(data) if not following else int(ends[-1]) if len(ends) else 0
        begin = 0
        for cut in [*ends[_BLOCK_RECORDS - 1 :: _BLOCK_RECORDS].tolist(), whole]:
            if cut > begin:
                yield line, data[begin:cut], cut == len(data) and not following
                line += data.count(b"\n", begin, cut)
                begin = cut
        if len(data) - begin > _LONGEST_RECORD:
            raise _too_long(where, line)
        carried, chunk = data[begin:], following


def _too_long(where: str, line: int) -> SourceError:
    return SourceError(
        f"{where}, line {line}: a row of more than a MiB, which no row of prices is. A quote that is not closed, or no "
        "CSV at all: write the file again.",
        file=where,
        line=line,
    )


def _record_ends(data: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the positions of the newlines that end a record: those after an even number of quotes."""
    import numpy as np

    newlines = np.flatnonzero(data == _NEWLINE)
    quotes = np.flatnonzero(data == _QUOTE)
    return newlines[np.searchsorted(quotes, newlines) % 2 == 0] if len(quotes) else newlines


def _header(block: bytes, where: str) -> tuple[str, int, bytes]:
    """Return the header, how many lines it takes with the blank ones before it, and the rest of the block."""
    body = block.lstrip(b"\r\n")
    header, _, rest = body.partition(b"\n")
    n_lines = block.count(b"\n", 0, len(block) - len(body)) + 1
    if len(header) > _LONGEST_RECORD:
        raise _too_long(where, n_lines)
    try:
        text = header.decode("utf-8").rstrip("\r")
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{where} is neither Parquet nor CSV in UTF-8. Save it again in UTF-8.", file=where
        ) from error
    if not text.strip():
        raise SourceError(f"{where} is empty. Write the file again.", file=where)
    return text, n_lines, rest


class _BlockReader:
    """Parses blocks of one file: how many columns it has, and which of them hold what, stay the same."""

    def __init__(self, n_columns: int, assigned: Mapping[str, int], delimiter: str, where: str) -> None:
        self.names = [str(position) for position in range(n_columns)]
        self.assigned = assigned
        self.delimiter = delimiter
        self.where = where

    def read(self, first_line: int, block: bytes, *, is_last: bool) -> Batch:
        """Return the rows of `block`, which begins at `first_line`."""
        import numpy as np
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        lines = self._line_numbers(first_line, block, is_last=is_last)
        ragged: list[tuple[int, int, str]] = []

        def note(row: Any) -> str:  # noqa: ANN401 -- Arrow's InvalidRow has no public type
            ragged.append((row.number - 1, row.actual_columns, row.text))
            return "skip"

        try:
            table = arrow_csv.read_csv(
                io.BytesIO(block),
                # Rows are numbered only without threads; one block in one piece
                read_options=arrow_csv.ReadOptions(
                    column_names=self.names, use_threads=False, block_size=len(block) + 1
                ),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=self.delimiter, newlines_in_values=True, invalid_row_handler=note
                ),
                convert_options=arrow_csv.ConvertOptions(
                    include_columns=[self.names[position] for position in self.assigned.values()],
                    column_types={name: pa.string() for name in self.names},
                    strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid as error:
            raise SourceError(
                f"{self.where} cannot be read as CSV in UTF-8: {str(error).splitlines()[0]}.", file=self.where
            ) from error
        if is_last and ragged and ragged[-1][0] == len(lines) - 1:
            raise SourceError(
                f"{self.where} is cut off: its last line, {lines[-1]}, has {ragged[-1][1]} values where the header has "
                f"{len(self.names)}. Get the whole file.",
                file=self.where,
                line=int(lines[-1]),
            )
        kept = np.delete(lines, [index for index, _, _ in ragged])
        table = pa.table(
            {name: table.column(self.names[position]) for name, position in self.assigned.items()} | {"line": kept}
        )
        return Batch(table, [self._rejection(int(lines[index]), n_values, text) for index, n_values, text in ragged])

    def _rejection(self, line: int, n_values: int, text: str) -> Rejection:
        return Rejection(line, f"{n_values} values where the header has {len(self.names)}", {"text": text})

    def _line_numbers(self, first_line: int, block: bytes, *, is_last: bool) -> NDArray[np.int64]:
        """Return the line that each record starts on; empty lines are no records, to Arrow neither."""
        import numpy as np

        data = np.frombuffer(block, dtype=np.uint8)
        ends = _record_ends(data)
        if is_last and data[-1] != _NEWLINE:
            if np.count_nonzero(data == _QUOTE) % 2:
                raise SourceError(
                    f"{self.where} is cut off inside a quoted value. Get the whole file.", file=self.where
                )
            ends = np.append(ends, len(data))
        elif not len(ends) or ends[-1] != len(data) - 1:
            raise SourceError(f"{self.where} is cut off inside a quoted value. Get the whole file.", file=self.where)
        starts = np.concatenate([[0], ends[:-1] + 1])
        newlines = np.flatnonzero(data == _NEWLINE)
        lines: NDArray[np.int64] = first_line + np.searchsorted(newlines, starts)
        length = ends - starts
        if length.max(initial=0) > _LONGEST_RECORD:
            raise _too_long(self.where, int(lines[length.argmax()]))
        blank = (length == 0) | ((length == 1) & (data[np.minimum(starts, len(data) - 1)] == _RETURN))
        of_records: NDArray[np.int64] = lines[~blank]
        return of_records
