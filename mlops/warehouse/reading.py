"""Many rows out at once, into numpy.

A driver hands over one row at a time, and a million rows cost more there than in the database. So the query packs the
rows of each group into arrays (`array_agg`): what comes over the wire is some hundred long rows, each of which one
`numpy.frombuffer` reads. Measured on 571,396 x 22 floats: 0.55 s, against 1.3 s for COPY row by row, 0.6 s for
ADBC and 0.7 s for connectorx (`make bench` measures it again).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy import Connection, TextClause
from sqlalchemy.exc import DBAPIError

from mlops.exceptions import WarehouseError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HEADER = 19  # PGCOPY signature (11 bytes), flags (4), length of the header's extension (4), which is 0
_END = b"\xff\xff"
_POSTGRES_EPOCH = "2000-01-01"

# OID of the element's type -> its bytes on the wire, as numpy names them
_WIRE_TYPES = {
    16: "?",  # boolean
    21: ">i2",
    23: ">i4",
    20: ">i8",
    700: ">f4",
    701: ">f8",
    1184: ">i8",  # timestamptz: microseconds since 2000-01-01 UTC
}
_TIMESTAMPTZ = 1184


def read_arrays(
    connection: Connection, query: TextClause, parameters: Mapping[str, object], columns: Sequence[str]
) -> dict[str, NDArray[Any]]:
    """Return the result of `query`, one array a column, the arrays of its rows one after the other.

    Args:
        connection: whose transaction it is read in.
        query: every field of its result is an array of boolean, smallint, integer, bigint, real, double precision or
            timestamptz without NULLs; of one dimension, or two of which the second is the same in all rows.
        parameters: for the query's `:parameters`.
        columns: what to call the fields, in their order.

    Returns:
        By name [n] or [n, width]; timestamptz as datetime64[us], UTC. n is 0 where the query has no rows.

    Raises:
        WarehouseError: a NULL, or a type that is none of these. What the database refuses, for `Warehouse.begin` to
            translate.
    """
    import numpy as np

    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in columns}
    for row in _copied_rows(connection, query, parameters):
        for name, field in zip(columns, _fields(row, columns), strict=True):
            parts[name].append(_array(field, name))
    return {name: np.concatenate(arrays) if arrays else np.empty(0) for name, arrays in parts.items()}


def _copied_rows(connection: Connection, query: TextClause, parameters: Mapping[str, object]) -> Iterator[memoryview]:
    """Yield each row of `query` as COPY's binary format has it, without header and trailer."""
    driver_connection = connection.connection.driver_connection
    if not isinstance(driver_connection, psycopg.Connection):
        raise WarehouseError("Only psycopg can COPY; the connection is of another driver.")
    # COPY takes no parameters from the server's protocol: psycopg writes them in as literals, quoted.
    statement = f"COPY ({query.compile(dialect=connection.dialect)}) TO STDOUT (FORMAT binary)".encode()
    # SQLAlchemy writes % as %%, and psycopg reads it so only where there are values to write in.
    values = {"": None, **parameters}
    try:
        with driver_connection.cursor() as cursor, cursor.copy(statement, values) as copy:
            begin = _HEADER
            while data := copy.read():
                if len(data) > begin and bytes(data[begin:]) != _END:
                    yield memoryview(data)[begin:]
                begin = 0
    except psycopg.Error as error:
        raise DBAPIError.instance("COPY ... TO STDOUT", None, error, psycopg.Error) from error


def _fields(row: memoryview, columns: Sequence[str]) -> Iterator[memoryview]:
    (n_fields,) = struct.unpack_from(">h", row)
    if n_fields != len(columns):
        raise WarehouseError(f"The query has {n_fields} columns, not the {len(columns)} that were named.")
    at = 2
    for name in columns:
        (length,) = struct.unpack_from(">i", row, at)
        if length < 0:
            raise WarehouseError(f"{name} is NULL where an array belongs.")
        yield row[at + 4 : at + 4 + length]
        at += 4 + length


def _array(field: memoryview, name: str) -> NDArray[Any]:
    """Read one array as PostgreSQL sends it: dimensions, whether it has NULLs, type; then length and bytes of each."""
    import numpy as np

    n_dimensions, has_nulls, oid = struct.unpack_from(">iiI", field)
    if has_nulls:
        raise WarehouseError(f"{name} has a NULL among its values.")
    if oid not in _WIRE_TYPES or n_dimensions not in (1, 2):
        raise WarehouseError(f"{name} is no array of one or two dimensions of numbers or moments (type {oid}).")
    shape = struct.unpack_from(">" + "ii" * n_dimensions, field, 12)[::2]
    elements = np.frombuffer(
        field, dtype=np.dtype([("length", ">i4"), ("value", _WIRE_TYPES[oid])]), offset=12 + 8 * n_dimensions
    )
    values = elements["value"].astype(elements["value"].dtype.newbyteorder("=")).reshape(shape)
    if oid == _TIMESTAMPTZ:
        return np.datetime64(_POSTGRES_EPOCH, "us") + values.view("timedelta64[us]")
    return values
