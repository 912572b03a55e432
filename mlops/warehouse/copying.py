"""Many rows in at once, by COPY.

`copy_arrays` takes columns of numbers and moments as numpy arrays and lays out PostgreSQL's binary format with one
structured array, so that no row is touched by Python: it is what bulk loading stands on. `copy_rows` takes rows of any
type and is for the thousands, not the millions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from mlops.exceptions import WarehouseError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SIGNATURE = b"PGCOPY\n\xff\r\n\x00" + bytes(8)  # no flags, no header extension
_TRAILER = b"\xff\xff"
_CHUNK_ROWS = 65_536  # bounds the memory of the binary image to some ten megabytes
_UNIX_TO_POSTGRES_US = 946_684_800_000_000  # PostgreSQL counts from 2000-01-01
_UNIX_TO_POSTGRES_DAYS = 10_957


def copy_arrays(connection: Connection, table: str, columns: Mapping[str, NDArray[Any]]) -> int:
    """Append rows to `table` ("name" or "schema.name") from arrays of one length each; return how many.

    int16, int32, int64, float32, float64 and bool arrays go into the PostgreSQL types of the same width;
    datetime64[us] is UTC and goes into timestamptz, datetime64[D] into date. NaT arrives as '-infinity' and NaN as NaN:
    there are no NULLs in an array, so whoever stages says what stands for one.
    Raises what the database refuses, for `Warehouse.begin` to translate.
    """
    n_rows = len(next(iter(columns.values())))
    with _copying(connection, table, columns, "(FORMAT binary)") as copy:
        copy.write(_SIGNATURE)
        for start in range(0, n_rows, _CHUNK_ROWS):
            copy.write(_image({name: values[start : start + _CHUNK_ROWS] for name, values in columns.items()}))
        copy.write(_TRAILER)
    return n_rows


def copy_rows(connection: Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Append `rows` to `table` ("name" or "schema.name"), their values in the order of `columns`; None is NULL."""
    with _copying(connection, table, columns, "") as copy:
        for row in rows:
            copy.write_row(row)


@contextmanager
def _copying(connection: Connection, table: str, columns: Iterable[str], how: str) -> Iterator[psycopg.Copy]:
    driver_connection = connection.connection.driver_connection
    if not isinstance(driver_connection, psycopg.Connection):
        raise WarehouseError("Only psycopg can COPY; the connection is of another driver.")
    statement = sql.SQL("COPY {} ({}) FROM STDIN {}").format(
        sql.Identifier(*table.split(".")), sql.SQL(", ").join(map(sql.Identifier, columns)), sql.SQL(how)
    )
    try:
        with driver_connection.cursor() as cursor, cursor.copy(statement) as copy:
            yield copy
    except psycopg.Error as error:
        raise DBAPIError.instance(f"COPY {table}", None, error, psycopg.Error) from error


def _image(columns: Mapping[str, NDArray[Any]]) -> bytes:
    """Return the rows in PostgreSQL's binary format: per row the number of fields, per field its length and bytes."""
    import numpy as np

    fields = {name: _wire_values(values) for name, values in columns.items()}
    layout: list[tuple[str, str]] = [("n_fields", ">i2")]
    for position, values in enumerate(fields.values()):
        layout += [(f"length_{position}", ">i4"), (f"value_{position}", values.dtype.newbyteorder(">").str)]
    image = np.empty(len(next(iter(fields.values()))), dtype=np.dtype(layout))
    image["n_fields"] = len(fields)
    for position, values in enumerate(fields.values()):
        image[f"length_{position}"] = values.dtype.itemsize
        image[f"value_{position}"] = values
    return image.tobytes()


def _wire_values(values: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    if values.dtype.kind != "M":
        if values.dtype.kind not in "bif":
            raise TypeError(f"{values.dtype} has no fixed-width counterpart in PostgreSQL")
        return values
    missing = np.isnat(values)
    if values.dtype == np.dtype("datetime64[D]"):
        days = (values.astype(np.int64) - _UNIX_TO_POSTGRES_DAYS).astype(np.int32)
        return np.where(missing, np.int32(np.iinfo(np.int32).min), days)
    moments = values.astype("datetime64[us]").astype(np.int64)
    return np.where(missing, np.iinfo(np.int64).min, moments - _UNIX_TO_POSTGRES_US)
