"""Bars in the warehouse: what a file's rows become, row by row, against plain Python."""

import hashlib
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import exchange_calendars
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from mlops.domain import Role
from mlops.exceptions import SourceError, TimeframeError
from mlops.sources import FileSource, Ingested, SampleSource, ingest_bars
from mlops.sources.ingested import Waiting
from mlops.warehouse import Warehouse

HEADER = "symbol,date,open,high,low,close,volume"
NOW = datetime(2017, 7, 20, tzinfo=UTC)


@pytest.fixture
def taken(warehouse: Warehouse, tmp_path: Path) -> Callable[..., Ingested]:
    """Ingest lines of CSV, the first being the header."""

    def take(*lines: str, **options: Any) -> Ingested:
        path = tmp_path / "bars.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        options.setdefault("now", NOW)
        return ingest_bars(warehouse, FileSource(path), **options)

    return take


def rows(warehouse: Warehouse, query: str) -> list[Any]:
    with warehouse.begin(role=None) as connection:
        return list(connection.execute(text(query)).all())


def counts(ingested: Ingested) -> tuple[int, int, int, int, int]:
    return ingested.read, ingested.new, ingested.changed, ingested.unchanged, ingested.rejected


def everything(warehouse: Warehouse) -> dict[str, list[Any]]:
    """All rows of market with the transaction that wrote them."""
    tables = ("symbols", "sessions", "bars", "superseded_bars", "ingests", "rejects", "earnings")
    return {name: sorted(rows(warehouse, f"SELECT xmin::text, t.* FROM market.{name} t"), key=str) for name in tables}


def test_a_daily_bar_belongs_to_its_session(taken: Any, warehouse: Warehouse) -> None:
    assert counts(taken(HEADER, "A,2017-07-03,10,11,9,10.5,100", "A,2017-07-05,10,11,9,10.5,")) == (2, 2, 0, 0, 0)
    assert [
        tuple(row) for row in rows(warehouse, "SELECT ts, known_at, close, volume FROM market.bars ORDER BY ts")
    ] == [
        # the day before Independence Day closes early
        (datetime(2017, 7, 3, 13, 30, tzinfo=UTC), datetime(2017, 7, 3, 17, 0, tzinfo=UTC), 10.5, 100),
        (datetime(2017, 7, 5, 13, 30, tzinfo=UTC), datetime(2017, 7, 5, 20, 0, tzinfo=UTC), 10.5, None),
    ]
    assert [
        tuple(row) for row in rows(warehouse, "SELECT ticker, asset_class, exchange, timezone FROM market.symbols")
    ] == [("A", "equity", "XNYS", "America/New_York")]


GOOD = "A,2017-07-03,10,11,9,10.5,100"
UNTRUE = {
    ",2017-07-03,10,11,9,10.5,1": "symbol is missing",
    "A,,10,11,9,10.5,1": "ts is missing",
    "A,07/03/2017,10,11,9,10.5,1": "ts is no date or time",
    "A,0217-07-03,10,11,9,10.5,1": "ts is before 1900",
    "A,2017-07-04,10,11,9,10.5,1": "XNYS has no session on that day",
    "A,2017-07-08,10,11,9,10.5,1": "XNYS has no session on that day",
    "A,2017-07-20,10,11,9,10.5,1": "the bar is in the future",
    "A,2971-07-03,10,11,9,10.5,1": "the bar is in the future",
    "A,2017-07-05,,11,9,10.5,1": "open is missing",
    "A,2017-07-05,10,NaN,9,10.5,1": "high is missing",
    "A,2017-07-05,10,11,null,10.5,1": "low is missing",
    "A,2017-07-05,10,11,9,,1": "close is missing",
    "A,2017-07-05,10,11,9,ten,1": "close is no number",
    "A,2017-07-05,10,inf,9,10.5,1": "a price is not finite",
    "A,2017-07-05,10,11,0,10.5,1": "a price is not positive",
    "A,2017-07-05,10,11,-9,10.5,1": "a price is not positive",
    "A,2017-07-05,10,1e308,9,10.5,1": "a price is above 1e15",
    "A,2017-07-05,10,11,1e-300,10.5,1": "a price is below 1e-15",
    "A,2017-07-05,10,9,11,10.5,1": "low is above high",
    "A,2017-07-05,8.99,11,9,10.5,1": "open is outside low to high",
    "A,2017-07-05,10,11,9,11.01,1": "close is outside low to high",
    "A,2017-07-05,10,11,9,10.5,-1": "volume is negative",
    "A,2017-07-05,10,11,9,10.5,inf": "volume is not finite",
    "A,2017-07-05,10,11,9,10.5,1e308": "volume is above 1e18",
    "A,2017-07-05,10,11,9,10.5,1e-308": "volume is below 1e-15",
    "A,2017-07-05,10,11,9,10.5,many": "volume is no number",
    "A,2017-07-03,20,21,19,20.5,1": "duplicate of line 2",
    "A,2017-07-05,10,11,9": "5 values where the header has 7",
    f"{'A' * 5000},2017-07-05,10,11,9,10.5,1": "symbol is longer than 64 characters",
    "A\x1b[31m,2017-07-05,10,11,9,10.5,1": "symbol has a character that cannot be printed",
}


def test_each_untrue_row_is_rejected_for_its_reason(taken: Any, warehouse: Warehouse) -> None:
    ingested = taken(HEADER, GOOD, *UNTRUE, "B,2017-07-03,1,1,1,1,0")
    assert counts(ingested) == (len(UNTRUE) + 2, 2, 0, 0, len(UNTRUE))
    rejected = rows(warehouse, "SELECT line, reason, kind, file, row FROM market.rejects ORDER BY line")
    assert [(row.line, row.reason) for row in rejected] == list(enumerate(UNTRUE.values(), start=3))
    assert {(row.kind, Path(row.file).name) for row in rejected} == {("bars", "bars.csv")}
    by_reason = {row.reason: row.row for row in rejected}
    assert by_reason["close is no number"] == {
        "symbol": "A", "ts": "2017-07-05", "open": "10", "high": "11", "low": "9", "close": "ten", "volume": "1"
    }  # fmt: skip
    assert by_reason["volume is negative"] == {
        "symbol": "A", "date": "2017-07-05", "open": 10, "high": 11, "low": 9, "close": 10.5, "volume": -1
    }  # fmt: skip
    assert by_reason["5 values where the header has 7"] == {"text": "A,2017-07-05,10,11,9"}
    assert sum(ingested.reasons.values()) == len(UNTRUE)
    assert ingested.reasons["duplicate of an earlier line"] == 1


def test_what_a_rejected_row_says_is_kept_at_a_length_to_look_at(taken: Any, warehouse: Warehouse) -> None:
    taken(HEADER, GOOD, f"{'A' * 5000},2017-07-05,10,11,9,10.5,1", f"x{',' * 5000}", GOOD)
    rejected = rows(warehouse, "SELECT row FROM market.rejects ORDER BY line")
    texts = [max(map(str, row.row.values()), key=len) for row in rejected]
    assert [(len(text), text[-1]) for text in texts[:2]] == [(1000, "…"), (1000, "…")]


def test_a_file_of_nearly_nothing_but_rejected_rows_is_refused(
    taken: Any, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a gigabyte of letters, one a line, would fill the database with a hundred."""
    monkeypatch.setattr("mlops.sources.rejections.MOST_REJECTED", 5)
    for wrong in ("x", "A,2017-07-05,,11,9,10.5,1", GOOD):  # unreadable, untrue, once too often
        with pytest.raises(SourceError, match=r"Most rows of .* are wrong: [67] of the first [78]"):
            taken(HEADER, GOOD, *[wrong] * 6, "A,2017-07-06,10,11,9,10.5,1")
    assert rows(warehouse, "SELECT FROM market.ingests") == []
    assert counts(taken(HEADER, *["x"] * 5, GOOD)) == (6, 1, 0, 0, 5)


def test_a_file_with_more_symbols_than_there_are_is_refused(taken: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlops.sources.staging.MOST_SYMBOLS", 2)
    lines = [f"{ticker},2017-07-03,10,11,9,10.5,100" for ticker in "ABC"]
    with pytest.raises(SourceError, match=r"more than 2 symbols\. Its column symbol holds none"):
        taken(HEADER, *lines)
    assert counts(taken(HEADER, *lines[:2])) == (2, 2, 0, 0, 0)


def test_one_absurd_date_and_a_column_without_a_type_do_not_spoil_a_file(warehouse: Warehouse, tmp_path: Path) -> None:
    days = pa.array([17350, 2**31 - 1, -(2**31)], pa.int32()).cast(pa.date32())  # the first is 2017-07-03
    prices = {name: [1.0] * 3 for name in ("open", "high", "low", "close")}
    pq.write_table(
        pa.table({"symbol": ["A"] * 3, "date": days, "known_at": pa.nulls(3), **prices}), tmp_path / "bars.parquet"
    )
    assert counts(ingest_bars(warehouse, FileSource(tmp_path / "bars.parquet"), now=NOW)) == (3, 1, 0, 0, 2)
    rejected = rows(warehouse, "SELECT line, reason FROM market.rejects ORDER BY line")
    assert [tuple(row) for row in rejected] == [(2, "the bar is in the future"), (3, "ts is before 1900")]


def test_bars_that_are_not_over_yet_wait_where_they_may(taken: Any, warehouse: Warehouse) -> None:
    lines = (
        HEADER,
        "A,2017-07-18,10,11,9,10.5,1",
        "A,2017-07-19,,11,9,10.5,1",
        "A,2017-07-20,10,11,9,10.5,1",  # closes on the 20th at 20:00 UTC
        "A,2099-07-20,10,11,9,10.5,1",
        "B,2017-07-21,10,11,9,10.5,1",
    )
    noon, until = datetime(2017, 7, 20, 16, tzinfo=UTC), datetime(2017, 7, 27, tzinfo=UTC)
    for attempt in range(3):
        got = taken(*lines, now=noon, waits_until=until)
        assert counts(got) == (1, 1, 0, 0, 0) if attempt == 0 else counts(got) == (1, 0, 0, 1, 0)
        assert got.waiting == Waiting(2, datetime(2017, 7, 21, 20, tzinfo=UTC))
        assert got.reasons == {"open is missing": 1, "the bar is in the future": 1}
    assert rows(warehouse, "SELECT FROM market.rejects") == [], "rejected once, and at the end"
    assert [row.ticker for row in rows(warehouse, "SELECT ticker FROM market.symbols")] == ["A"]
    evening = taken(*lines, now=datetime(2017, 7, 20, 20, tzinfo=UTC), waits_until=until)
    assert (counts(evening), evening.waiting.n) == ((2, 1, 0, 1, 0), 1)
    later = taken(*lines, now=datetime(2017, 7, 21, 20, tzinfo=UTC), waits_until=until)
    assert (counts(later), later.waiting.n) == ((5, 1, 0, 2, 2), 0)
    rejected = rows(warehouse, "SELECT line, reason FROM market.rejects ORDER BY line")
    assert [tuple(row) for row in rejected] == [(3, "open is missing"), (5, "the bar is in the future")]


def test_an_ingest_of_which_all_waits_leaves_no_trace(
    taken: Any, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlops.sources.rejections.MOST_REJECTED", 0)  # what waits is not wrong, however much it is
    noon, until = datetime(2017, 7, 20, 16, tzinfo=UTC), datetime(2017, 7, 27, tzinfo=UTC)
    got = taken(HEADER, "A,2017-07-20,10,11,9,10.5,1", now=noon, waits_until=until)
    assert (counts(got), got.waiting.n) == ((0, 0, 0, 0, 0), 1)
    for table in ("symbols", "bars", "ingests", "rejects"):
        assert rows(warehouse, f"SELECT FROM market.{table}") == []


def test_what_the_database_cannot_hold_is_the_file_s_fault(taken: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were a row to get past all checks: the error names the file, and does not pass for one of the server's."""
    monkeypatch.setattr("mlops.sources.staging.name_error", lambda _: None)
    noise = "".join(hashlib.sha256(bytes([n])).hexdigest() for n in range(200))  # which no compression shortens
    with pytest.raises(SourceError, match=r"bars.csv holds what cannot be stored. .* index row"):
        taken(HEADER, f"{noise},2017-07-03,10,11,9,10.5,1")


def test_only_a_row_that_can_be_true_makes_another_a_duplicate(taken: Any, warehouse: Warehouse) -> None:
    ingested = taken(HEADER, "A,2017-07-03,,11,9,10.5,1", GOOD, GOOD)
    assert counts(ingested) == (3, 1, 0, 0, 2)
    assert [row.reason for row in rows(warehouse, "SELECT reason FROM market.rejects ORDER BY line")] == [
        "open is missing", "duplicate of line 3"
    ]  # fmt: skip


def test_a_symbol_of_which_nothing_is_true_is_not_added(taken: Any, warehouse: Warehouse) -> None:
    assert counts(taken(HEADER, "A,2017-07-03,,11,9,10.5,1", "B,2017-07-03,1,1,1,1,1")) == (2, 1, 0, 0, 1)
    assert [row.ticker for row in rows(warehouse, "SELECT ticker FROM market.symbols")] == ["B"]


def test_the_same_file_twice_changes_nothing(taken: Any, warehouse: Warehouse) -> None:
    lines = HEADER, GOOD, "A,2017-07-05,10,11,9,10.5,", "A,2017-07-06,,11,9,10.5,1"
    taken(*lines)
    before = everything(warehouse)
    assert counts(taken(*lines)) == (3, 0, 0, 2, 1)
    after = everything(warehouse)
    for table in ("symbols", "sessions", "bars", "superseded_bars"):
        assert before[table] == after[table], f"not even written again: {table}"
    assert len(after["ingests"]) == 2


def test_a_correction_keeps_its_predecessor(taken: Any, warehouse: Warehouse) -> None:
    first = taken(HEADER, GOOD, "A,2017-07-05,10,11,9,10.5,200")
    (untouched,) = rows(warehouse, "SELECT xmin::text, b.* FROM market.bars b WHERE volume = 200")
    (old,) = rows(warehouse, "SELECT * FROM market.bars WHERE volume = 100")
    second = taken(HEADER, "A,2017-07-03,10,11,9,10.75,100", "A,2017-07-05,10,11,9,10.5,200", "A,2017-07-06,1,1,1,1,1")
    assert counts(second) == (3, 1, 1, 1, 0)
    (new,) = rows(warehouse, "SELECT * FROM market.bars WHERE volume = 100")
    (kept,) = rows(warehouse, "SELECT * FROM market.superseded_bars")
    assert tuple(kept)[: len(old)] == tuple(old)
    assert (kept.close, kept.ingest_id, kept.superseded_at) == (10.5, first.ingest_id, new.recorded_at)
    assert (new.close, new.ingest_id, new.known_at) == (10.75, second.ingest_id, old.known_at)
    assert new.recorded_at > old.recorded_at
    assert rows(warehouse, "SELECT xmin::text, b.* FROM market.bars b WHERE volume = 200") == [untouched]
    # and back again: each version is kept
    assert counts(taken(HEADER, GOOD)) == (1, 0, 1, 0, 0)
    kept = rows(warehouse, "SELECT close FROM market.superseded_bars ORDER BY superseded_at")
    assert [row.close for row in kept] == [10.5, 10.75]


def test_a_file_with_symbols_is_not_taken_for_one_symbol(warehouse: Warehouse, tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(f"{HEADER}\n{GOOD}\n", encoding="utf-8")
    with pytest.raises(SourceError, match=r"has a column 'symbol' for symbol, and --symbol is given, too"):
        ingest_bars(warehouse, FileSource(path, symbol="ZED"))
    with pytest.raises(SourceError, match=r"names column 'open' for more than one field"):
        ingest_bars(warehouse, FileSource(path, mapping={"close": "open", "open": "open"}))
    assert rows(warehouse, "SELECT * FROM market.symbols") == []


def test_what_is_learnt_is_learnt_after_all_before_even_if_the_clock_is_put_back(
    taken: Any, warehouse: Warehouse
) -> None:
    taken(HEADER, GOOD)
    with warehouse.begin(role=None) as connection:
        connection.execute(text("UPDATE market.bars SET recorded_at = now() + interval '1 hour'"))
    taken(HEADER, "A,2017-07-05,10,11,9,10.5,100")
    old, new = rows(warehouse, "SELECT recorded_at FROM market.bars ORDER BY ts")
    assert new.recorded_at > old.recorded_at


def test_floats_are_compared_exactly(taken: Any) -> None:
    taken(HEADER, "A,2017-07-03,10,11,9,10.1,100")
    assert counts(taken(HEADER, "A,2017-07-03,10,11,9,10.100000000000001,100")) == (1, 0, 1, 0, 0)
    assert counts(taken(HEADER, "A,2017-07-03,10.0,1.1e1,9,10.100000000000001,100")) == (1, 0, 0, 1, 0)


def test_a_column_that_a_file_lacks_says_nothing(taken: Any, warehouse: Warehouse) -> None:
    taken(f"{HEADER},Adj Close", f"{GOOD},5.25", "A,2017-07-05,10,11,9,10.5,200,")
    without = "symbol,date,open,high,low,close"
    assert counts(taken(without, "A,2017-07-03,10,11,9,10.5")) == (1, 0, 0, 1, 0)
    assert counts(taken(without, "A,2017-07-03,10,11,9,10.25")) == (1, 0, 1, 0, 0)
    (bar,) = rows(warehouse, "SELECT close, volume, adj_close FROM market.bars WHERE volume = 100")
    assert tuple(bar) == (10.25, 100, 5.25)
    # while one that it has and leaves blank says that there is none
    assert counts(taken(HEADER, "A,2017-07-03,10,11,9,10.25,")) == (1, 0, 1, 0, 0)
    assert len(rows(warehouse, "SELECT FROM market.bars WHERE volume IS NULL")) == 1
    assert counts(taken(HEADER, "A,2017-07-03,10,11,9,10.25,")) == (1, 0, 0, 1, 0)
    assert counts(taken(HEADER, "A,2017-07-03,10,11,9,10.25,7")) == (1, 0, 1, 0, 0)


def test_a_later_known_at_is_taken_and_an_earlier_one_cannot_be(taken: Any, warehouse: Warehouse) -> None:
    header = f"{HEADER},known_at"
    ingested = taken(
        header,
        f"{GOOD},2017-07-03T23:00:00Z",
        "A,2017-07-05,10,11,9,10.5,1,2017-07-05T19:59:59Z",
        "A,2017-07-06,10,11,9,10.5,1,2017-08-06T00:00:00Z",
        "A,2017-07-07,10,11,9,10.5,1,",
        "A,2017-07-10,10,11,9,10.5,1,2017-07-11",
    )
    assert counts(ingested) == (5, 2, 0, 0, 3)
    assert [row.known_at for row in rows(warehouse, "SELECT known_at FROM market.bars ORDER BY ts")] == [
        datetime(2017, 7, 3, 23, tzinfo=UTC), datetime(2017, 7, 7, 20, tzinfo=UTC)
    ]  # fmt: skip
    assert [row.reason for row in rows(warehouse, "SELECT reason FROM market.rejects ORDER BY line")] == [
        "known_at is before the end of the bar", "the bar is in the future", "known_at is no time"
    ]  # fmt: skip
    assert counts(taken(HEADER, GOOD)) == (1, 0, 0, 1, 0), "a file without known_at says nothing of it"
    assert counts(taken(header, f"{GOOD},2017-07-04T00:00:00Z")) == (1, 0, 1, 0, 0)
    assert counts(taken(HEADER, "A,2017-07-03,10,11,9,10.25,100")) == (1, 0, 1, 0, 0)
    (corrected,) = rows(warehouse, "SELECT known_at FROM market.bars WHERE close = 10.25")
    assert corrected.known_at == datetime(2017, 7, 4, tzinfo=UTC), "a correction does not change when it was known"


@pytest.mark.parametrize(
    "written",
    ["2017-07-03", "20170703", "2017-07-03T00:00:00Z", "2017-07-03T00:00:00-04:00", "2017-07-03T16:00:00-04:00"],
)
def test_a_daily_bar_is_dated_in_many_ways(taken: Any, warehouse: Warehouse, written: str) -> None:
    assert counts(taken(HEADER, f"A,{written},10,11,9,10.5,100", timeframe="d1")) == (1, 1, 0, 0, 0)
    (bar,) = rows(warehouse, "SELECT ts FROM market.bars")
    assert bar.ts == datetime(2017, 7, 3, 13, 30, tzinfo=UTC)


def test_the_time_of_a_daily_bar_is_in_the_timezone_that_is_said(taken: Any, warehouse: Warehouse) -> None:
    line = "A,2017-07-06 02:00:00,10,11,9,10.5,100"
    assert counts(taken(HEADER, line, timeframe="d1", timezone="UTC")) == (1, 1, 0, 0, 0)
    assert counts(taken(HEADER, line, timeframe="d1")) == (1, 1, 0, 0, 0)
    opened = [row.ts.date() for row in rows(warehouse, "SELECT ts FROM market.bars ORDER BY ts")]
    assert opened == [date(2017, 7, 5), date(2017, 7, 6)]


def test_a_time_without_an_offset_among_others_is_rejected(taken: Any, warehouse: Warehouse) -> None:
    ingested = taken(
        HEADER,
        "X,2017-07-03T14:00:00Z,1,1,1,1,1",
        "X,2017-07-03T15:00:00,1,1,1,1,1",
        "X,2017-07-03T16:00:00 Mars/Base,1,1,1,1,1",
        timeframe="h1",
        asset_class="crypto",
    )
    assert counts(ingested) == (3, 1, 0, 0, 2)
    assert [row.reason for row in rows(warehouse, "SELECT reason FROM market.rejects ORDER BY line")] == [
        "ts has no offset, as others have, and its timezone was not said", "ts is no date or time"
    ]  # fmt: skip


def test_hours_that_the_clock_skips_or_repeats_are_rejected(taken: Any, warehouse: Warehouse) -> None:
    ingested = taken(
        HEADER,
        "X,2017-03-12 01:00,1,1,1,1,1",
        "X,2017-03-12 02:00,1,1,1,1,1",
        "X,2017-03-12 03:00,1,1,1,1,1",
        "X,2016-11-06 01:00,1,1,1,1,1",
        "X,2016-11-06T01:00-05:00,1,1,1,1,1",
        "X,2017-07-03,1,1,1,1,1",
        timeframe="h1",
        timezone="America/New_York",
        asset_class="crypto",
    )
    assert counts(ingested) == (6, 3, 0, 0, 3)
    assert [
        (row.line, row.reason) for row in rows(warehouse, "SELECT line, reason FROM market.rejects ORDER BY line")
    ] == [
        (3, "ts does not exist: clocks go forward then"),
        (5, "ts happens twice: clocks go back then, and it has no offset"),
        (7, "ts has no time of day"),
    ]
    bars = rows(warehouse, "SELECT ts, known_at FROM market.bars ORDER BY ts")
    assert [bar.ts for bar in bars] == [
        datetime(2016, 11, 6, 6, tzinfo=UTC), datetime(2017, 3, 12, 6, tzinfo=UTC), datetime(2017, 3, 12, 7, tzinfo=UTC)
    ]  # fmt: skip
    assert all(bar.known_at - bar.ts == timedelta(hours=1) for bar in bars)


REFUSED = {
    "timeframe": ({"timeframe": "w2"}, GOOD, "There is no timeframe 'w2'. Use one of m1, m5"),
    "timezone": ({"timezone": "Mars/Olympus"}, GOOD, "There is no timezone 'Mars/Olympus'"),
    "exchange": ({"exchange": "XNYSE"}, GOOD, "exchange-calendars knows no exchange 'XNYSE'. Perhaps XNYS"),
    "asset class": ({"asset_class": "bond"}, GOOD, "There is no asset class 'bond'"),
    "untold timeframe": ({}, "A,2017-07-03T14:30:00Z,10,11,9,10.5,100", "their timeframe must be said"),
    "untold timezone": ({"timeframe": "h1"}, "A,2017-07-03 14:30,10,11,9,10.5,100", "their timezone must be said"),
    "dates for hours": ({"timeframe": "h1"}, GOOD, "Bars of h1 need the time at which they open"),
    "no readable date": ({}, "A,07/03/2017,10,11,9,10.5,100", "No row of .* has a date or time that can be read"),
    "exchange of another": (
        {"exchange": "XLON"},
        "OLD,2017-07-03,1,1,1,1,1",
        "OLD is in the warehouse with exchange XNYS",
    ),
    "class of another": ({"asset_class": "index"}, "OLD,2017-07-03,1,1,1,1,1", "with asset class equity, not index"),
    "ragged end": ({}, f"{GOOD}\nA,2017-07-05", "is cut off"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_as_a_whole_leaves_nothing(taken: Any, warehouse: Warehouse, kind: str) -> None:
    options, line, message = REFUSED[kind]
    taken(HEADER, "OLD,2017-07-05,1,1,1,1,1")
    before = everything(warehouse)
    with pytest.raises((SourceError, TimeframeError), match=message):
        taken(HEADER, "NEW,2017-07-03,1,1,1,1,1" if kind == "ragged end" else line, line, **options)
    assert everything(warehouse) == before


def test_an_exchange_is_known_by_its_alias_and_symbols_keep_theirs(taken: Any, warehouse: Warehouse) -> None:
    taken(
        HEADER,
        "VOD,2017-07-04,1,1,1,1,1",
        exchange="LSE" if "LSE" in exchange_calendars.get_calendar_names() else "XLON",
    )
    # no option: each symbol by its own calendar, a new one by XNYS, which is closed on that day
    assert counts(taken(HEADER, "VOD,2017-07-04,2,2,2,2,1", "A,2017-07-04,1,1,1,1,1")) == (2, 0, 1, 0, 1)
    (bar,) = rows(warehouse, "SELECT ts FROM market.bars")
    assert bar.ts == datetime(2017, 7, 4, 7, tzinfo=UTC)


def test_tickers_that_look_like_nothing(taken: Any, warehouse: Warehouse) -> None:
    assert (
        counts(taken(HEADER, *(f"{ticker},2017-07-03,1,1,1,1,1" for ticker in ("NA", "NULL", "nan", "TRUE", "é'\\"))))[
            1
        ]
        == 5
    )
    assert {row.ticker for row in rows(warehouse, "SELECT ticker FROM market.symbols")} == {
        "NA",
        "NULL",
        "nan",
        "TRUE",
        "é'\\",
    }


def test_the_sample_agrees_with_pandas(warehouse: Warehouse) -> None:
    import bokeh_sampledata

    frame = pd.read_csv(Path(bokeh_sampledata.__file__).parent / "_data" / "stocks.csv.gz")
    assert counts(ingest_bars(warehouse, SampleSource(until=date(2012, 12, 31)))) == (11949, 11949, 0, 0, 0)
    assert counts(ingest_bars(warehouse, SampleSource())) == (12154, 205, 0, 11949, 0)
    got = rows(
        warehouse,
        "SELECT ticker, (ts AT TIME ZONE 'America/New_York')::date::text, open, high, low, close, volume, adj_close "
        "FROM market.bars JOIN market.symbols ON id = symbol_id",
    )
    assert {tuple(row) for row in got} == set(frame.itertuples(index=False, name=None))


def test_walking_through_the_sample_day_by_day(warehouse: Warehouse) -> None:
    ingest_bars(warehouse, SampleSource(until=date(2012, 12, 31)))
    monday = date(2013, 1, 7)
    after_close = datetime(2013, 1, 7, 21, tzinfo=UTC)
    assert counts(ingest_bars(warehouse, SampleSource(since=monday, until=monday), now=after_close)) == (5, 5, 0, 0, 0)
    sunday = SampleSource(since=monday - timedelta(days=1), until=monday - timedelta(days=1))
    assert counts(ingest_bars(warehouse, sunday, now=after_close)) == (0, 0, 0, 0, 0)
    early = ingest_bars(warehouse, SampleSource(since=date(2013, 1, 8), until=date(2013, 1, 8)), now=after_close)
    assert counts(early) == (5, 0, 0, 0, 5)
    assert early.reasons == {"the bar is in the future": 5}


def test_the_worker_s_rights_suffice_and_are_needed(warehouse: Warehouse) -> None:
    with warehouse.begin(role=Role.WORKER) as connection:
        assert connection.execute(text("SELECT current_user")).scalar_one() == "forecastle_worker"
    ingest_bars(warehouse, SampleSource(until=date(2000, 3, 31)))
    with warehouse.begin(role=None) as connection:
        connection.execute(text("REVOKE INSERT ON market.bars FROM forecastle_worker"))
    with pytest.raises(Exception, match="permission denied"):
        ingest_bars(warehouse, SampleSource(until=date(2000, 4, 28)))


prices = st.sampled_from([1.0, 2.0, 3.0, 0.0, -1.0, float("nan"), float("inf")])
volumes = st.sampled_from([0.0, 5.0, float("nan")])
sessions = st.sampled_from([date(2017, 7, 3), date(2017, 7, 19)])
days = st.sampled_from([date(2017, 7, day) for day in range(1, 12)] + [date(2017, 7, 20), None])
true_rows = st.builds(
    lambda symbol, day, close, volume: (symbol, day, 2.0, 3.0, 1.0, close, volume),
    st.sampled_from(["A", "B"]), sessions, st.sampled_from([1.0, 2.5]), volumes,
)  # fmt: skip
any_rows = st.tuples(
    st.sampled_from(["A", "B", None]), days, prices, prices, prices, prices, volumes | st.just(-1.0)
)  # fmt: skip
dirty = st.lists(true_rows | any_rows, min_size=4, max_size=20)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.lists(dirty, min_size=2, max_size=3))
def test_any_rows_at_all_become_what_a_dict_makes_of_them(
    warehouse: Warehouse, tmp_path: Path, files: list[list[tuple[Any, ...]]]
) -> None:
    open_days = {
        stamp.date() for stamp in exchange_calendars.get_calendar("XNYS").sessions_in_range("2017-07-01", "2017-07-19")
    }
    with warehouse.begin(role=None) as connection:
        connection.execute(text("TRUNCATE market.symbols, market.bars, market.superseded_bars, market.ingests CASCADE"))
    model: dict[tuple[str, date], tuple[float | None, ...]] = {}
    n_superseded = 0
    for position, file in enumerate(files):
        frame = pd.DataFrame(file, columns=["symbol", "date", "open", "high", "low", "close", "volume"])
        frame["date"] = pd.to_datetime(frame["date"])
        path = tmp_path / f"{position}.parquet"
        frame.to_parquet(path)
        seen: set[tuple[str, date]] = set()
        new = changed = unchanged = rejected = 0
        for symbol, day, open_, high, low, close, volume in file:
            key = (symbol, day)
            true = (
                symbol is not None and day in open_days and key not in seen
                and all(0 < price < float("inf") for price in (open_, high, low, close))
                and low <= min(open_, close) and max(open_, close) <= high and not volume < 0
            )  # fmt: skip
            values = (open_, high, low, close, None if np.isnan(volume) else volume)
            if not true:
                rejected += 1
                continue
            seen.add(key)
            new += key not in model
            unchanged += model.get(key) == values
            changed += key in model and model[key] != values
            model[key] = values
        n_superseded += changed
        got = ingest_bars(warehouse, FileSource(path), now=NOW)
        assert counts(got) == (len(file), new, changed, unchanged, rejected)
    table = rows(
        warehouse,
        "SELECT ticker, (ts AT TIME ZONE 'America/New_York')::date, open, high, low, close, volume "
        "FROM market.bars JOIN market.symbols ON id = symbol_id",
    )
    assert {(row[0], row[1]): tuple(row[2:]) for row in table} == model
    assert len(rows(warehouse, "SELECT FROM market.superseded_bars")) == n_superseded
    noted = rows(
        warehouse,
        "SELECT n_rejected, (SELECT count(*) FROM market.rejects r WHERE r.ingest_id = i.id) n FROM market.ingests i",
    )
    assert all(row.n_rejected == row.n for row in noted)
    assert len(noted) == len(files)
