"""Parquet, batch by batch, each row with its number.

A few kilobytes of Parquet can unpack to terabytes: a value of a megabyte that every row repeats, a page of zeros, a
thousand million equal rows. What a file declares is looked at before it is unpacked, and text is cut before it is
repeated, so that what is held in memory is one batch of rows of a usual size.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from mlops.exceptions import SourceError
from mlops.printable import cut
from mlops.sources.layout import Batch

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_ROWS = 131_072
_LARGEST_FOOTER = 32 << 20
"""Bytes. It takes ten times as many when it is read; thousands of columns in hundreds of row groups fit."""
_LARGEST_CHUNK = 256 << 20
"""Bytes of one column in one row group, unpacked: 33 million numbers. Writers put a million rows into a row group."""
_ROWS_ANYHOW = 1_000_000
"""Up to this many rows may be of any size; more need at least a byte each, which prices that change always take."""
_LONGEST_TEXT = 256
"""Characters. No ticker, number or date is as long; what is longer is cut and marked, and so rejected as a value."""


def read_parquet(stream: BinaryIO, assign: Callable[[list[str]], dict[str, int]], where: str) -> Iterator[Batch]:
    """Yield the rows of a Parquet file in batches, text as dictionaries, everything else as it is typed.

    `assign` says of the names of the columns which of them holds which field. Raises SourceError where the file is
    damaged, where it declares what no file of prices does, or where a column holds no plain values.
    """
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    _check_footer(stream, where)
    try:
        about = parquet.ParquetFile(stream)
        schema = about.schema_arrow
        assigned = assign(schema.names)
        names = [schema.names[position] for position in assigned.values()]
        _check_columns(schema, names, where)
        _check_size(about.metadata, names, os.fstat(stream.fileno()).st_size, where)
        texts = [name for name in names if _is_text(schema.field(name).type)]
        file = parquet.ParquetFile(stream, metadata=about.metadata, read_dictionary=texts)
        line = 1
        for rows in file.iter_batches(_BATCH_ROWS, columns=names):
            columns: dict[str, pa.Array] = {
                field: _cut(rows.column(name), name, where) for field, name in zip(assigned, names, strict=True)
            }
            numbers = np.arange(line, line + rows.num_rows, dtype=np.int64)
            yield Batch(pa.table(columns | {"line": pa.array(numbers)}))
            line += rows.num_rows
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceError(
            f"{where} is no whole Parquet file ({cut(str(error).splitlines()[0], 120)}). "
            "It is cut off or damaged: get it again.",
            file=where,
        ) from error


def _check_footer(stream: BinaryIO, where: str) -> None:
    """Raise SourceError where the file's description of itself, whose length is in its last 8 bytes, is too long."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - 8))
    length = int.from_bytes(stream.read(4), "little")
    stream.seek(0)
    if _LARGEST_FOOTER < length <= size:
        raise SourceError(
            f"{where} takes {length >> 20:,} MiB to describe itself. Write fewer columns, in larger row groups.",
            file=where,
        )


def _check_columns(schema: pa.Schema, names: list[str], where: str) -> None:
    """Raise SourceError where a column that is to be read is there twice, or holds no plain values."""
    for name in names:
        if schema.names.count(name) > 1:
            raise SourceError(f"{where} has more than one column {cut(name, 40)!r}. Take all but one out.", file=where)
        kind = schema.field(name).type
        if not _is_plain(kind):
            raise SourceError(
                f"Column {cut(name, 40)!r} of {where} holds {cut(str(kind), 60)}: no text, number, date or time. "
                "Name another with --map.",
                file=where,
            )


def _check_size(about: Any, names: list[str], size: int, where: str) -> None:  # noqa: ANN401 -- pyarrow has no types
    """Raise SourceError where `size` bytes can never hold the rows, or a column would unpack to too much."""
    if about.num_rows > max(_ROWS_ANYHOW, size):
        raise SourceError(
            f"{where} declares {about.num_rows:,} rows in {size:,} bytes, which prices never fit into.", file=where
        )
    for number in range(about.num_row_groups):
        group = about.row_group(number)
        for column in map(group.column, range(group.num_columns)):
            if column.path_in_schema in names and column.total_uncompressed_size > _LARGEST_CHUNK:
                raise SourceError(
                    f"{where} unpacks to {column.total_uncompressed_size >> 20:,} MiB in column "
                    f"{cut(column.path_in_schema, 40)!r} of one row group. Write it with row groups of a million rows.",
                    file=where,
                )


def _is_plain(kind: pa.DataType) -> bool:
    import pyarrow as pa

    types = pa.types
    plain = (
        types.is_integer, types.is_floating, types.is_decimal, types.is_boolean, types.is_null, types.is_date,
        types.is_timestamp,
    )  # fmt: skip
    return _is_text(kind) or any(is_one(_unpacked(kind)) for is_one in plain)


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    types = pa.types
    texts = (
        types.is_string, types.is_large_string, types.is_string_view,
        types.is_binary, types.is_large_binary, types.is_binary_view,
    )  # fmt: skip
    return any(is_one(_unpacked(kind)) for is_one in texts)


def _unpacked(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _cut(column: pa.Array, name: str, where: str) -> pa.Array:
    """Return a column with its texts cut to a length that no value of ours has, and checked to be text at all."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(column.type):
        return column
    if not _is_text(column.type):
        return column.dictionary_decode()
    try:
        texts = column.dictionary.cast(pa.binary()).cast(pa.string())
    except pa.ArrowInvalid as error:
        raise SourceError(
            f"Column {cut(name, 40)!r} of {where} holds bytes that are no text in UTF-8. Write it again as text.",
            file=where,
        ) from error
    is_long = pc.greater(pc.utf8_length(texts), _LONGEST_TEXT)
    if pc.any(is_long).as_py():
        marked = pc.binary_join_element_wise(pc.utf8_slice_codeunits(texts, 0, _LONGEST_TEXT), "…", "")
        texts = pc.if_else(is_long, marked, texts)
    return pa.DictionaryArray.from_arrays(column.indices, texts)
