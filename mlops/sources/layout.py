"""What a row of bars, or of an event, is made of, and which of a file's columns holds what.

A source hands over batches whose columns have the names given here. Files call them by other names: those are
recognised without regard to case, blanks and punctuation, or named by the user (`--map close=Last`).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING, Literal, Protocol

from mlops.exceptions import DataRefusedError, SourceError
from mlops.printable import cut

if TYPE_CHECKING:
    import pyarrow as pa

_MOST_COLUMNS = 10_000
_SHOWN_COLUMNS, _SHOWN_LENGTH = 20, 40
"""How many columns of a header a message quotes, and how many characters of each: a file may have any header."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a row. What follows `required` is for `mlops.sources.events`.

    Attributes:
        name: what the warehouse calls it.
        also: other names that files give it, in lower case without punctuation.
        required: a file has to have a column for it, and a row a value.
        may_be_empty: a row needs no value, though the file has to have the column.
        type: what its values are.
        key: whether it is one of the fields that name a row.
        words: of a field that takes a few words: how files write them, in lower case, and what each is kept as.
    """

    name: str
    also: tuple[str, ...] = ()
    required: bool = True
    may_be_empty: bool = False
    type: Literal["text", "number", "moment", "date"] = "text"
    key: bool = False
    words: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """The fields of one kind of row."""

    kind: str
    fields: tuple[Field, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all fields, required or not."""
        return tuple(each.name for each in self.fields)


BARS = Layout(
    "bars",
    (
        Field("symbol", ("ticker", "sym", "instrument")),
        Field("ts", ("date", "time", "timestamp", "datetime", "day")),
        Field("open", ("o", "openprice")),
        Field("high", ("h", "highprice")),
        Field("low", ("l", "lowprice")),
        Field("close", ("c", "closeprice")),
        Field("volume", ("v", "vol"), required=False),
        Field("adj_close", ("adjclose", "adjustedclose", "closeadj", "closeadjusted"), required=False),
        Field("known_at", ("knownat",), required=False),
    ),
)
"""A bar. `ts` is a date (the session of a daily bar) or the moment at which the bar opens."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row that cannot be read: its line, the reason, and its values by field."""

    line: int
    reason: str
    row: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a source.

    `table` has the fields that the source has, under their names, as text or already typed, and `line` (int64): the
    line in a CSV file, its header being line 1; the row number from 1 elsewhere. `rejections` are rows that
    do not fit into the table at all, such as a line with a value too many.
    """

    table: pa.Table
    rejections: Sequence[Rejection] = field(default=())


class Source(Protocol):
    """Where rows come from. Reading it twice gives the same rows."""

    @property
    def name(self) -> str:
        """What people call it: it stands in market.ingests and beside each rejected row."""

    @property
    def sha256(self) -> str | None:
        """The digest of the file's bytes, known once all batches were taken; None where there is no file."""

    def batches(self, layout: Layout) -> Iterator[Batch]:
        """Yield the rows in the order of their lines. Raises SourceError where the source cannot be used."""


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Turn what the readers of files raise, and the database of their content, into a SourceError of the file."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, csv.Error) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise SourceError(
            f"{name} cannot be read: {reason[:200]}. Write it again, as Parquet or as CSV with quotes around whole "
            "values only.",
            file=name,
        ) from error
    except DataRefusedError as error:
        raise SourceError(f"{name} holds what cannot be stored. {error}", file=name) from error


def first_taken(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Take the first batch at once and return all of them.

    So a file that is none, or a download, is dealt with before a transaction is open and a lock is held.
    """
    first = list(islice(batches, 1))
    return chain(first, batches)


def assign_columns(
    found: Sequence[str], layout: Layout, mapping: Mapping[str, str], constants: Mapping[str, str], where: str
) -> dict[str, int]:
    """Return which of the columns `found` holds which field of the layout, by position.

    `mapping` names columns for fields; `constants` are fields that need no column. Raises SourceError where a field
    has no column or more than one, saying which columns there are and how to name the right one.
    """
    if len(found) > _MOST_COLUMNS:
        raise SourceError(
            f"{where} has {len(found):,} columns, and no more than {_MOST_COLUMNS:,} are read. Take out those that are "
            "not needed.",
            file=where,
        )
    columns = _quoted(found)
    assigned = {
        _field_named(key, layout): _position(name, found, f"{where} has no column {name!r}. It has: {columns}.")
        for key, name in mapping.items()
    }
    twice = {found[position] for position in assigned.values() if list(assigned.values()).count(position) > 1}
    if twice:
        raise SourceError(
            f"--map names column {twice.pop()!r} for more than one field. Each needs its own.", file=where
        )
    for each in layout.fields:
        if each.name in assigned:
            continue
        known_as = {_plain(each.name), *each.also}
        candidates = [
            position
            for position, name in enumerate(found)
            if _plain(name) in known_as and position not in assigned.values()
        ]
        if each.name in constants:
            if candidates:
                column = _quoted([found[candidates[0]]])
                raise SourceError(
                    f"{where} has a column {column} for {each.name}, and --{each.name} is given, too. "
                    f"Leave out --{each.name}, or take the column out of the file.",
                    file=where,
                    field=each.name,
                )
            continue
        if len(candidates) > 1:
            names = _quoted([found[position] for position in candidates], " and ")
            raise SourceError(
                f"{where} has more than one column for {each.name}: {names}. Say which: --map {each.name}=NAME.",
                file=where,
                field=each.name,
            )
        if candidates:
            assigned[each.name] = candidates[0]
    missing = [each.name for each in layout.fields if each.required and each.name not in {*assigned, *constants}]
    if missing:
        hint = " For a file of one symbol give --symbol." if missing == ["symbol"] else ""
        raise SourceError(
            f"{where} has no column for {', '.join(missing)}. It has: {columns}.\n"
            f"Name it with --map {missing[0]}=NAME.{hint}",
            file=where,
            missing=missing,
            found=list(found),
        )
    return assigned


def _quoted(names: Sequence[str], between: str = ", ") -> str:
    shown = [repr(cut(name, _SHOWN_LENGTH)) for name in names[:_SHOWN_COLUMNS]]
    more = [f"{len(names) - _SHOWN_COLUMNS:,} more"] if len(names) > _SHOWN_COLUMNS else []
    return between.join(shown + more) or "none"


def _field_named(key: str, layout: Layout) -> str:
    for each in layout.fields:
        if _plain(key) in {_plain(each.name), *each.also}:
            return each.name
    raise SourceError(
        f"There is no field {key!r} in {layout.kind}. --map takes FIELD=COLUMN, fields being {', '.join(layout.names)}."
    )


def _position(name: str, found: Sequence[str], message: str) -> int:
    if name in found:
        return found.index(name)
    folded = [each.strip().casefold() for each in found]
    if folded.count(name.strip().casefold()) == 1:
        return folded.index(name.strip().casefold())
    raise SourceError(message, found=list(found))


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())
