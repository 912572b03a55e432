"""Earnings in the warehouse: when a release was known, and what cannot be true."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from mlops.exceptions import SourceError
from mlops.sources import FileSource, Ingested, SampleSource, ingest_bars, ingest_earnings
from mlops.sources.ingested import Waiting
from mlops.warehouse import Warehouse

HEADER = "symbol,date,qtr,eps_est,eps,release_time"


@pytest.fixture
def taken(warehouse: Warehouse, tmp_path: Path) -> Callable[..., Ingested]:
    """Ingest lines of CSV into a warehouse that knows the sample's symbols."""
    ingest_bars(warehouse, SampleSource(since=date(2012, 6, 1), until=date(2012, 6, 29)))

    def take(*lines: str, **options: Any) -> Ingested:
        path = tmp_path / "earnings.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        options.setdefault("now", datetime(2012, 12, 31, tzinfo=UTC))
        return ingest_earnings(warehouse, FileSource(path), **options)

    return take


def rows(warehouse: Warehouse, query: str) -> list[Any]:
    with warehouse.begin(role=None) as connection:
        return list(connection.execute(text(query)).all())


def counts(ingested: Ingested) -> tuple[int, int, int, int, int]:
    return ingested.read, ingested.new, ingested.changed, ingested.unchanged, ingested.rejected


def test_a_release_is_known_at_the_latest_moment_possible(taken: Any, warehouse: Warehouse) -> None:
    lines = (
        "AAPL,2012-07-24,12-Jun,10.35,9.32,post",  # summer
        "IBM,2012-01-19,11-Dec,4.62,4.71,amc",  # winter
        "MSFT,2012-10-18,12-Sep,0.56,,PRE",
        "GOOG,2012-07-07,12-Jun,,10.12,bmo",  # a Saturday
        "FB,2012-07-26,,0.12,0.12,pre",
    )
    assert counts(taken(HEADER, *lines)) == (5, 5, 0, 0, 0)
    got = rows(warehouse, "SELECT ticker, e.* FROM market.earnings e JOIN market.symbols ON id = symbol_id")
    known = {row.ticker: row.known_at for row in got}
    assert known == {
        "AAPL": datetime(2012, 7, 25, 4, tzinfo=UTC),
        "IBM": datetime(2012, 1, 20, 5, tzinfo=UTC),
        "MSFT": datetime(2012, 10, 18, 13, 30, tzinfo=UTC),
        "GOOG": datetime(2012, 7, 9, 13, 30, tzinfo=UTC),
        "FB": datetime(2012, 7, 26, 13, 30, tzinfo=UTC),
    }
    assert all(row.ts == row.known_at for row in got)
    by_ticker = {row.ticker: (row.quarter, row.eps_estimate, row.eps_actual, row.release) for row in got}
    assert by_ticker["AAPL"] == ("12-Jun", 10.35, 9.32, "post")
    assert by_ticker["MSFT"] == ("12-Sep", 0.56, None, "pre")
    assert by_ticker["GOOG"] == ("12-Jun", None, 10.12, "pre")
    assert by_ticker["FB"] == (None, 0.12, 0.12, "pre")


UNTRUE = {
    ",2012-07-24,,1,1,pre": "symbol is missing",
    "XXQX,2012-07-24,,1,1,pre": "no such symbol in the warehouse: ingest its bars",
    "IBM,,,1,1,pre": "date is missing",
    "IBM,24.07.2012,,1,1,pre": "date is no date",
    "IBM,0012-07-24,,1,1,pre": "date is before 1900",
    "IBM,2012-07-24,,1,1,": "release is missing",
    "IBM,2012-07-24,,1,1,noon": "release is neither pre nor post",
    "IBM,2012-07-24,,one,1,pre": "eps_estimate is no number",
    "IBM,2012-07-24,,,,pre": "estimate and actual are both missing",
    "IBM,2012-07-24,,-inf,1,pre": "eps_estimate is not finite",
    "IBM,2013-01-02,,1,1,pre": "it is known only in the future",
    "IBM,2012-12-31,,1,1,post": "it is known only in the future",
    "IBM,2199-12-31,,1,1,pre": "it is known only in the future",
    "IBM,2912-12-31,,1,1,post": "date is not before 2200",
    "AAPL,2012-07-24,,2,2,post": "duplicate of line 2",
    "IBM,2012-07-24,,1,1": "5 values where the header has 6",
    f"IBM,2012-07-24,{'Q' * 65},1,1,pre": "quarter is longer than 64 characters",
    "IBM,2012-07-24,12\x1b[2J,1,1,pre": "quarter has a character that cannot be printed",
}


def test_each_untrue_row_is_rejected_for_its_reason(taken: Any, warehouse: Warehouse) -> None:
    ingested = taken(HEADER, "AAPL,2012-07-24,,1,1,pre", *UNTRUE, "IBM,2012-07-24,,-1,-0.5,pre")
    assert counts(ingested) == (len(UNTRUE) + 2, 2, 0, 0, len(UNTRUE))
    got = rows(warehouse, "SELECT line, reason, kind, row FROM market.rejects ORDER BY line")
    assert [(row.line, row.reason) for row in got] == list(enumerate(UNTRUE.values(), start=3))
    assert {row.kind for row in got} == {"earnings"}
    by_reason = {row.reason: row.row for row in got}
    assert by_reason["duplicate of line 2"] == {
        "symbol": "AAPL", "date": "2012-07-24", "eps_estimate": 2, "eps_actual": 2, "release": "post"
    }  # fmt: skip


def test_a_release_that_is_still_to_come_waits_where_it_may(taken: Any, warehouse: Warehouse) -> None:
    lines = (
        HEADER,
        "AAPL,2012-07-23,,1,1,pre",
        "AAPL,2012-07-24,,1,1,post",  # over at the end of the day in New York
        "IBM,2012-07-23,,,,pre",
        "IBM,2112-07-24,,1,1,post",
    )
    options = {"now": datetime(2012, 7, 24, 22, tzinfo=UTC), "waits_until": datetime(2012, 7, 31, tzinfo=UTC)}
    for attempt in range(2):
        got = taken(*lines, **options)
        assert counts(got) == (1, 1 - attempt, 0, attempt, 0)
        assert got.waiting == Waiting(1, datetime(2012, 7, 25, 4, tzinfo=UTC))
    assert rows(warehouse, "SELECT FROM market.rejects") == []
    got = taken(*lines, **(options | {"now": datetime(2012, 7, 25, 4, tzinfo=UTC)}))
    assert (counts(got), got.waiting.n) == ((4, 1, 0, 1, 2), 0)
    assert [row.reason for row in rows(warehouse, "SELECT reason FROM market.rejects ORDER BY line")] == [
        "estimate and actual are both missing", "it is known only in the future"
    ]  # fmt: skip


def test_a_correction_keeps_its_predecessor_and_the_rest_is_untouched(taken: Any, warehouse: Warehouse) -> None:
    first = HEADER, "AAPL,2012-07-24,12-Jun,10.35,,post", "IBM,2012-07-18,12-Jun,3.4,3.5,post"
    taken(*first)
    before = rows(warehouse, "SELECT xmin::text, e.* FROM market.earnings e ORDER BY date")
    assert counts(taken(*first)) == (2, 0, 0, 2, 0)
    assert rows(warehouse, "SELECT xmin::text, e.* FROM market.earnings e ORDER BY date") == before
    assert counts(taken(HEADER, "AAPL,2012-07-24,12-Jun,10.35,9.32,post", first[2])) == (2, 0, 1, 1, 0)
    ibm, aapl = rows(warehouse, "SELECT xmin::text, e.* FROM market.earnings e ORDER BY date")
    assert ibm == before[0]
    assert (aapl.eps_actual, aapl.known_at) == (9.32, before[1].known_at)
    (kept,) = rows(warehouse, "SELECT * FROM market.superseded_earnings")
    assert (kept.eps_actual, kept.recorded_at, kept.superseded_at) == (None, before[1].recorded_at, aapl.recorded_at)
    # a release that moves takes its time with it, and a file without quarters leaves them
    assert counts(taken("symbol,date,estimate,actual,release", "AAPL,2012-07-24,10.35,9.32,pre")) == (1, 0, 1, 0, 0)
    (moved,) = rows(warehouse, "SELECT * FROM market.earnings WHERE release = 'pre'")
    assert (moved.known_at, moved.quarter) == (datetime(2012, 7, 24, 13, 30, tzinfo=UTC), "12-Jun")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("symbol,date,eps_est,eps", "AAPL,2012-07-24,1,1"), "has no column for release"),
        ((HEADER, "AAPL,24.07.2012,,1,1,pre"), "No row of .* has a date that can be read"),
        ((HEADER, "AAPL,2012-07-24,,1,1,pre", "AAPL,2012-0"), "is cut off"),
    ],
)
def test_a_wrong_file_is_refused_as_a_whole(taken: Any, warehouse: Warehouse, lines: Any, message: str) -> None:
    before = rows(warehouse, "SELECT * FROM market.ingests")
    with pytest.raises(SourceError, match=message):
        taken(*lines)
    assert rows(warehouse, "SELECT * FROM market.earnings") == []
    assert rows(warehouse, "SELECT * FROM market.ingests") == before
