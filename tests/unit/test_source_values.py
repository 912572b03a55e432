"""From text and typed columns to numbers and moments."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops.exceptions import SourceError
from mlops.sources.values import (
    local_days,
    localize,
    name_error,
    read_moments,
    read_numbers,
    read_text,
    require_timezone,
)


def column(values: list[object], kind: pa.DataType | None = None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, type=kind)])


@given(st.lists(st.floats(allow_nan=False)))
def test_numbers_written_as_text_come_back_exactly(numbers: list[float]) -> None:
    for extra in ([], ["x"]):  # all at once; one by one
        values, unreadable = read_numbers(column([f" {number!r} " for number in numbers] + extra, pa.string()))
        assert values[: len(numbers)].tolist() == numbers
        assert unreadable.tolist() == [False] * len(numbers) + [True] * len(extra)


def test_missing_and_unreadable_numbers_are_told_apart() -> None:
    words = ["1.5", "", "NaN", "n/a", "NULL", "-", None, "1,5", "0x10", "1_000", "ten", "1e3", "-.5", "+2."]
    values, unreadable = read_numbers(column(words))
    assert [word for word, bad in zip(words, unreadable, strict=True) if bad] == ["1,5", "0x10", "1_000", "ten"]
    assert np.isnan(values[1:11]).all()
    assert values[[0, 11, 12, 13]].tolist() == [1.5, 1000, -0.5, 2]


@pytest.mark.parametrize("kind", [pa.int64(), pa.float32(), pa.decimal128(21, 2), pa.string(), pa.large_string()])
def test_numbers_of_any_type(kind: pa.DataType) -> None:
    values, unreadable = read_numbers(column([1, 2, None]).cast(kind))
    assert values[:2].tolist() == [1, 2]
    assert np.isnan(values[2])
    assert not unreadable.any()


def test_a_column_that_holds_no_numbers_is_unreadable_throughout() -> None:
    _, unreadable = read_numbers(column([[1], None, [2]]))
    assert unreadable.tolist() == [True, False, True]


def test_dates_and_times_are_told_apart() -> None:
    moments = read_moments(
        column(["2017-06-30", "20170630", "2017-06-30 09:30", "2017-06-30T09:30:00-04:00", "06/30/2017", "", None]),
        "ts",
    )
    assert moments.dated.tolist() == [True, True, False, False, False, False, False]
    assert moments.aware.tolist() == [False, False, False, True, False, False, False]
    assert moments.unreadable.tolist() == [False, False, False, False, True, False, False]
    assert moments.missing.tolist() == [False, False, False, False, False, True, True]
    assert moments.values[:4].tolist() == [
        datetime(2017, 6, 30), datetime(2017, 6, 30), datetime(2017, 6, 30, 9, 30), datetime(2017, 6, 30, 13, 30)
    ]  # fmt: skip


@given(st.lists(st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)), min_size=1), st.booleans(), st.booleans())
def test_times_read_at_once_and_one_by_one_are_the_same(times: list[datetime], offset: bool, spoilt: bool) -> None:
    zone = ZoneInfo("America/New_York") if offset else None
    words = [time.replace(tzinfo=zone).isoformat() for time in times]
    expected = [time.replace(tzinfo=zone).astimezone(UTC).replace(tzinfo=None) if zone else time for time in times]
    moments = read_moments(column(words + ["?"] * spoilt, pa.string()), "ts")
    assert moments.values[: len(times)].tolist() == expected
    assert moments.aware[: len(times)].all() == offset


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "America/New_York"])
def test_typed_times_are_in_microseconds(unit: str, zone: str | None) -> None:
    moments = read_moments(column([datetime(2017, 6, 30, 13, 30), None], pa.timestamp(unit, zone)), "ts")
    assert moments.values[0] == np.datetime64("2017-06-30T13:30")
    assert np.isnat(moments.values[1])
    assert moments.aware.tolist() == [zone is not None] * 2


@pytest.mark.parametrize(
    ("kind", "ticks"),
    [
        (pa.date32(), 2**31 - 1), (pa.date32(), -(2**31)), (pa.date64(), 2**62), (pa.timestamp("s"), 2**62),
        (pa.timestamp("ms", "UTC"), 2**62), (pa.timestamp("us"), -(2**62)),
    ],
)  # fmt: skip
def test_an_absurd_date_is_one_row_s_and_as_absurd_as_any(kind: pa.DataType, ticks: int) -> None:
    """It is brought to the first or last year that Python knows, and rejected there as too early or too late."""
    counted = pa.array([0, ticks, None], pa.int32() if kind == pa.date32() else pa.int64())
    moments = read_moments(pa.chunked_array([counted.cast(kind)]), "ts")
    first, absurd, missing = moments.values.tolist()
    assert (first, missing) == (datetime(1970, 1, 1), None)
    assert absurd.year == (9999 if ticks > 0 else 1)
    assert not moments.unreadable.any()


def test_a_column_without_a_type_holds_nothing() -> None:
    moments = read_moments(column([None, None], pa.null()), "known_at")
    assert moments.missing.all()


def test_a_name_is_short_and_can_be_printed() -> None:
    assert [name_error(name) for name in ("BRK.B", "AAPL US Equity", "株式", "[/x]", "é" * 64)] == [None] * 5
    assert name_error("A" * 65) == "is longer than 64 characters"
    for name in ("A\x1b[31m", "A\nB", "A\u202eB", "A\u200bB", "A\x7f"):
        assert name_error(name) == "has a character that cannot be printed"


def test_a_column_of_something_else_holds_no_dates() -> None:
    with pytest.raises(SourceError, match=r"The column for ts holds double, not dates\. Name another with --map ts="):
        read_moments(column([1.5]), "ts")
    assert read_moments(column([20170630, 1498800000]), "ts").unreadable.tolist() == [False, True]


@given(st.lists(st.datetimes(datetime(1990, 1, 1), datetime(2030, 1, 1)), min_size=1, max_size=20))
def test_wall_clock_times_agree_with_zoneinfo(times: list[datetime]) -> None:
    zone = ZoneInfo("America/New_York")
    utc, skipped, twice = localize(np.array(times, dtype="datetime64[us]"), str(zone))
    for time, moment, is_skipped, is_twice in zip(times, utc.tolist(), skipped, twice, strict=True):
        early, late = (time.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        exists = early.astimezone(zone).replace(tzinfo=None) == time
        assert is_skipped == (not exists)
        assert is_twice == (exists and early != late)
        assert moment == (early.replace(tzinfo=None) if exists and early == late else None)


def test_the_hours_at_which_clocks_change() -> None:
    spring, autumn = datetime(2017, 3, 12, 2, 30), datetime(2017, 11, 5, 1, 30)
    times = np.array([spring, autumn, spring - timedelta(hours=1)], dtype="datetime64[us]")
    _, skipped, twice = localize(times, "America/New_York")
    assert skipped.tolist() == [True, False, False]
    assert twice.tolist() == [False, True, False]


def test_the_day_at_the_exchange() -> None:
    utc = np.array(["2017-06-30T02:00", "2017-06-30T20:00"], dtype="datetime64[us]")
    assert local_days(utc, "America/New_York").astype(str).tolist() == ["2017-06-29", "2017-06-30"]
    assert local_days(utc, "Asia/Tokyo").astype(str).tolist() == ["2017-06-30", "2017-07-01"]


def test_names_are_stripped_and_na_is_a_ticker() -> None:
    assert read_text(column([" A ", "", "  ", None, "NA", "b\x00c"])).to_pylist() == ["A", None, None, None, "NA", None]


@pytest.mark.parametrize("name", ["Amerika/New_York", "", "../etc/passwd", "EST5EDT4", "\x00"])
def test_an_unknown_timezone_is_refused(name: str) -> None:
    with pytest.raises(SourceError, match="There is no timezone"):
        require_timezone(name)
