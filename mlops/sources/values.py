"""From a column as a file has it, text or typed, to an array of numbers or moments, and which rows cannot be read.

A whole column is cast at once where every value allows it. Where one does not, the batch's column is read value by
value, so that the others are kept and the unreadable one is named.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from mlops.exceptions import SourceError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Times = NDArray[np.datetime64]

MISSING = ("", "na", "n/a", "nan", "null", "none", "-")
"""How files write that there is no value, in lower case; a symbol is missing only where it is blank."""

LONGEST_NAME = 64
"""Characters of a ticker or a quarter: symbols of options have twenty, and an index takes no more than 2,700 bytes."""

_YEARS_1_TO_9999 = (-62_135_596_800, 253_402_300_799)  # seconds since 1970
_TICKS = {"D": 1 / 86_400, "s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}  # in a second

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf(inity)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Moments:
    """Dates and times as a file has them, before any timezone is applied.

    `values` (datetime64[us], NaT where missing or unreadable) are UTC where `aware`, the wall clock elsewhere;
    `dated` are dates without a time of day; `unreadable` hold something that is no date or time.
    """

    values: Times
    aware: Bools
    dated: Bools
    unreadable: Bools

    @property
    def missing(self) -> Bools:
        """The rows that have neither a moment nor anything else."""
        import numpy as np

        return np.isnat(self.values) & ~self.unreadable


def read_numbers(column: pa.ChunkedArray) -> tuple[Floats, Bools]:
    """Return the numbers (NaN where missing or unreadable) and which rows hold something that is no number."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if not _is_text(column.type):
        try:
            numbers = column.cast(pa.float64(), safe=False)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return np.full(len(column), np.nan), pc.is_valid(column).to_numpy()
        return _filled(numbers, np.nan), np.zeros(len(column), dtype=np.bool_)
    text = _stripped(column)
    try:
        return _filled(text.cast(pa.float64()), np.nan), np.zeros(len(column), dtype=np.bool_)
    except pa.ArrowInvalid:
        words = text.to_pylist()
    values = np.array([float(word) if word and _NUMBER.fullmatch(word) else np.nan for word in words])
    return values, np.array([word is not None and not _NUMBER.fullmatch(word) for word in words])


def read_moments(column: pa.ChunkedArray, field: str) -> Moments:
    """Return the dates and times of the column for `field`: typed, or ISO 8601 text with or without an offset.

    A typed moment beyond the years 1 to 9999 is brought to their end: it is as implausible there.
    Raises SourceError where the column is of a type that holds none.
    """
    import numpy as np
    import pyarrow as pa

    kind, no, yes = column.type, np.zeros(len(column), dtype=np.bool_), np.ones(len(column), dtype=np.bool_)
    if pa.types.is_null(kind):
        return Moments(np.full(len(column), np.datetime64("NaT"), dtype="datetime64[us]"), no, no, no)
    if pa.types.is_date(kind):
        return Moments(_micros(column), aware=no, dated=yes, unreadable=no)
    if pa.types.is_timestamp(kind):
        return Moments(_micros(column), aware=no if kind.tz is None else yes, dated=no, unreadable=no)
    if pa.types.is_integer(kind):
        column = column.cast(pa.string())
    elif not _is_text(kind):
        raise SourceError(f"The column for {field} holds {kind}, not dates. Name another with --map {field}=NAME.")
    text = _stripped(column)
    for target, aware, dated in (
        (pa.date32(), no, yes),
        (pa.timestamp("us"), no, no),
        (pa.timestamp("us", "UTC"), yes, no),
    ):
        try:
            return Moments(_micros(text.cast(target)), aware=aware, dated=dated, unreadable=no)
        except pa.ArrowInvalid:
            continue
    return _moments_one_by_one(text.to_pylist())


def read_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column of names without blanks around them, NULL where nothing is left or it cannot be stored."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    usable = pc.and_(pc.not_equal(text, ""), pc.invert(pc.match_substring(text, "\x00")))
    return pc.if_else(usable, text, pa.scalar(None, pa.string()))


def name_error(name: str) -> str | None:
    """Return why `name` will not do as a ticker or the like, None where it will."""
    if len(name) > LONGEST_NAME:
        return f"is longer than {LONGEST_NAME} characters"
    if not name.isprintable():
        return "has a character that cannot be printed"
    return None


def localize(naive: Times, timezone: str) -> tuple[Times, Bools, Bools]:
    """Return UTC for wall-clock times of `timezone`, and which of them do not exist and which exist twice.

    Those two kinds are NaT: when clocks go forward an hour is skipped, when they go back one happens twice, and
    nothing in the row says which is meant.
    """
    import numpy as np
    import pandas as pd

    index = pd.DatetimeIndex(naive)
    utc = index.tz_localize(timezone, ambiguous="NaT", nonexistent="NaT").tz_convert("UTC").tz_localize(None)
    lost = np.isnat(utc.to_numpy()) & ~np.isnat(naive)
    first = index[lost].tz_localize(timezone, ambiguous=np.ones(int(lost.sum()), dtype=bool), nonexistent="NaT")
    skipped = lost.copy()
    skipped[lost] = first.isna()
    return utc.to_numpy().astype("datetime64[us]"), skipped, lost & ~skipped


def local_days(utc: Times, timezone: str) -> Times:
    """Return the calendar day (datetime64[D]) that it is in `timezone` at each moment."""
    import pandas as pd

    local = pd.DatetimeIndex(utc).tz_localize("UTC").tz_convert(timezone).tz_localize(None)
    return local.to_numpy().astype("datetime64[D]")


def require_timezone(name: str) -> None:
    """Raise SourceError unless `name` is a timezone of the IANA database, such as America/New_York."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise SourceError(
            f"There is no timezone {name!r}. Use a name of the IANA database, such as America/New_York or UTC.",
            timezone=name,
        ) from error


def _moments_one_by_one(words: list[str | None]) -> Moments:
    import numpy as np

    values = np.full(len(words), np.datetime64("NaT"), dtype="datetime64[us]")
    aware, dated, unreadable = (np.zeros(len(words), dtype=np.bool_) for _ in range(3))
    for row, word in enumerate(words):
        if word is None:
            continue
        try:
            moment = datetime.fromisoformat(word)
        except ValueError:
            unreadable[row] = True
            continue
        if moment.tzinfo is not None:
            aware[row] = True
            try:
                moment = moment.astimezone(UTC).replace(tzinfo=None)
            except OverflowError:
                unreadable[row] = True
                continue
        dated[row] = _is_date(word)
        values[row] = np.datetime64(moment, "us")
    return Moments(values, aware, dated, unreadable)


def _is_date(word: str) -> bool:
    try:
        date.fromisoformat(word)
    except ValueError:
        return False
    return True


def _is_text(kind: Any) -> bool:  # noqa: ANN401 -- pyarrow has no types
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _stripped(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    missing = pc.is_in(pc.utf8_lower(text), pa.array(MISSING))
    return pc.if_else(missing, pa.scalar(None, pa.string()), text)


def _filled(column: pa.ChunkedArray, value: float) -> Floats:
    import pyarrow.compute as pc

    filled: Floats = pc.fill_null(column, value).to_numpy()
    return filled if filled.flags.writeable else filled.copy()


def _micros(column: pa.ChunkedArray) -> Times:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    unit = "D" if pa.types.is_date32(kind) else "ms" if pa.types.is_date64(kind) else kind.unit
    width = pa.int32() if unit == "D" else pa.int64()
    missing = np.iinfo(np.int64).min
    ticks = pc.fill_null(column.cast(width).cast(pa.int64()), missing).to_numpy()
    if unit != "ns":  # whose 64 bits end in 2262
        first, last = (int(second * _TICKS[unit]) for second in _YEARS_1_TO_9999)
        if (ticks > last).any() or (ticks < first).any():
            ticks = np.where(ticks == missing, missing, np.clip(ticks, first, last))
    micros: Times = ticks.view(f"datetime64[{unit}]").astype("datetime64[us]")
    return micros
