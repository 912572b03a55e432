"""Rows that are rejected because they cannot be read: each is kept with its line, the reason and its values."""

from __future__ import annotations

import json
import math
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from mlops.exceptions import SourceError
from mlops.printable import cut
from mlops.sources.layout import Rejection
from mlops.sources.values import name_error
from mlops.warehouse.copying import copy_rows

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


MOST_REJECTED = 1_000_000
"""A file with more rejected rows than this, and fewer others, is refused."""
_LONGEST_VALUE = 1000
"""How many characters of each value of a rejected row are kept."""


class Rejections:
    """Which rows of one batch are rejected, and why; a row keeps the first reason that was added for it."""

    def __init__(self, table: pa.Table) -> None:
        import numpy as np

        self.table = table
        self.reasons = [""]
        self.code = np.zeros(table.num_rows, dtype=np.int16)

    def add(self, rows: NDArray[np.bool_], reason: str) -> None:
        """Note `reason` for the rows of the mask that have none yet."""
        if rows.any():
            self.code[rows & (self.code == 0)] = len(self.reasons)
            self.reasons.append(reason)

    def add_where(self, flags: Iterable[bool], reason: str) -> None:
        """Note `reason` for the rows that are flagged, one flag a row, and have none yet."""
        import numpy as np

        self.add(np.fromiter(flags, dtype=np.bool_), reason)

    def add_symbols(self, tickers: Sequence[str | None], known: Container[str]) -> None:
        """Note the rows of no symbol, and those whose symbol is not among those `known`."""
        self.add_where((ticker is None for ticker in tickers), "symbol is missing")
        self.add_where(
            (ticker is not None and ticker not in known for ticker in tickers),
            "no such symbol in the warehouse: ingest its bars",
        )

    def add_names(self, names: Sequence[str | None], field: str) -> None:
        """Note the rows whose name in `field` will not do; see `name_error`."""
        errors = [None if name is None else name_error(name) for name in names]
        for error in dict.fromkeys(error for error in errors if error is not None):
            self.add_where((each == error for each in errors), f"{field} {error}")

    @property
    def accepted(self) -> NDArray[np.bool_]:
        """Which rows are not rejected."""
        unmarked: NDArray[np.bool_] = self.code == 0
        return unmarked

    def rows(self) -> Iterator[Rejection]:
        """Yield the rejections in the order of their lines."""
        import numpy as np

        rejected = np.flatnonzero(self.code)
        rows = self.table.take(rejected)
        lines = rows.column("line").to_pylist()
        columns = {name: _values(rows.column(name)) for name in rows.column_names if name != "line"}
        for row, (line, code) in enumerate(zip(lines, self.code[rejected], strict=True)):
            yield Rejection(line, self.reasons[code], {name: values[row] for name, values in columns.items()})


def save_rejections(connection: Connection, rejections: Iterable[Rejection]) -> int:
    """Write `rejections` into the ingest's table of rejected lines and return how many there are."""
    rows = [(rejection.line, rejection.reason, _as_json(rejection)) for rejection in rejections]
    if rows:
        copy_rows(connection, "rejected_lines", ("line", "reason", "row"), rows)
    return len(rows)


def refuse_if_mostly_rejected(where: str, n_rejected: int, n_read: int) -> None:
    """Raise SourceError where most rows are rejected, and too many of them to keep: they would fill the database."""
    if n_rejected > MOST_REJECTED and 2 * n_rejected > n_read:
        raise SourceError(
            f"Most rows of {where} are wrong: {n_rejected:,} of the first {n_read:,}. Nothing was taken in. Take the "
            "file's first thousand rows, and market.rejects will say why.",
            file=where,
        )


def _values(column: pa.ChunkedArray) -> list[object]:
    """Return the values of a column; as text where Python has no such dates."""
    import pyarrow as pa

    try:
        values: list[object] = column.to_pylist()
    except (OverflowError, ValueError):
        values = column.cast(pa.string()).to_pylist()
    return values


def _as_json(rejection: Rejection) -> str:
    return json.dumps({name: _plain(value) for name, value in rejection.row.items() if value is not None})


def _plain(value: object) -> object:
    """Return a value as JSON in PostgreSQL can hold it: no NaN, no NUL character, and of a length to look at."""
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return cut(str(value).replace("\x00", "\ufffd"), _LONGEST_VALUE)
