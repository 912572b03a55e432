"""Rows that cannot be read: found column by column, kept with the line, the reason and what the row says."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from mlops.sources.layout import RowFault
from mlops.warehouse.copying import copy_rows

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


class Faults:
    """The faults of one batch; a row has the first that was added for it."""

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

    @property
    def none(self) -> NDArray[np.bool_]:
        """Which rows have no fault."""
        unmarked: NDArray[np.bool_] = self.code == 0
        return unmarked

    def rows(self) -> Iterator[RowFault]:
        """Yield the faults in the order of their lines."""
        import numpy as np

        at_fault = np.flatnonzero(self.code)
        for row, code in zip(self.table.take(at_fault).to_pylist(), self.code[at_fault], strict=True):
            yield RowFault(row.pop("line"), self.reasons[code], row)


def file_faults(connection: Connection, faults: Iterable[RowFault]) -> int:
    """Put faults into the ingest's table of rejected lines; return how many."""
    rows = [(fault.line, fault.reason, _as_json(fault)) for fault in faults]
    if rows:
        copy_rows(connection, "rejected_lines", ("line", "reason", "row"), rows)
    return len(rows)


def _as_json(fault: RowFault) -> str:
    return json.dumps({name: _plain(value) for name, value in fault.row.items() if value is not None})


def _plain(value: object) -> object:
    """Return a value as JSON in PostgreSQL can hold it: no NaN, no NUL character."""
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return str(value).replace("\x00", "\ufffd")
