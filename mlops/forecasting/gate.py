"""The gate before a forecast: whether the newest checks of the data passed, and what to do where they failed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any

from sqlalchemy import Connection, Row

from mlops import clock
from mlops.domain import DAILY_SUITES
from mlops.exceptions import GateClosedError
from mlops.warehouse import sql
from mlops.warehouse.timeframes import read_timeframe

_NOW = timedelta(minutes=1)
"""A forecast whose as-of is at most this long ago counts as one as of now."""


def symbols_in_quarantine(connection: Connection, timeframe: str, as_of: datetime) -> frozenset[int]:
    """Return the symbols that may not be forecast as of `as_of` (UTC), by the newest checks of `timeframe`.

    Of each suite the newest check counts, by its as-of and then by when it was made, so that a later check of one suite
    does not replace those of the others. Data that were never checked are not refused: checking is a step of its own.
    But once one suite was checked, the others are required, too.

    Raises:
        GateClosedError: a suite failed for more than a few symbols, or was never checked where others were.
    """
    wanted = {"timeframe": timeframe, "as_of": as_of, "suites": list(DAILY_SUITES)}
    rows = connection.execute(sql("forecasting", "newest_checks"), wanted).all()
    failures = [row for row in rows if row.expectation is not None]
    never = [row.suite for row in rows if row.as_of is None]
    if not failures and len(never) in (0, len(DAILY_SUITES)):
        return frozenset(symbol_id for row in rows for symbol_id in row.at_fault)
    again = "" if abs(clock.now() - as_of) < _NOW else f" --as-of {_typed(as_of)}"
    check_again = f"`forecastle check --timeframe {timeframe}{again}`"
    if not failures:
        checked = ", ".join(suite for suite in DAILY_SUITES if suite not in never)
        raise GateClosedError(
            f"The gate is closed for {timeframe}: as of {_shown(as_of)} or before, {checked} was checked, and "
            f"{', '.join(never)} never.\nCheck all of them: {check_again}."
        )
    advice = f"Once the data are mended, or where they have been since, check again: {check_again}."
    if any(row.suite == "freshness" for row in failures):
        advice += _earlier(connection, timeframe, as_of)
    raise GateClosedError(f"{_what(timeframe, failures)}\n{advice}")


def _what(timeframe: str, failures: Sequence[Row[Any]]) -> str:
    first, more = failures[0], len(failures) - 1
    return (
        f"The gate is closed for {timeframe}: the check as of {_shown(first.as_of)}, made on "
        f"{_shown(first.checked_at)}, found fault with {first.suite}, {first.expectation}: {first.observed}"
        + (f"; and {more} more failed" if more else "")
        + ". The view data_quality has the queries that show the rows."
    )


def _earlier(connection: Connection, timeframe: str, as_of: datetime) -> str:
    """Say how to forecast from the newest bars that there are, for data that are old and stay so."""
    newest: datetime | None = connection.execute(
        sql("forecasting", "newest_moment"), {"timeframe": timeframe, "as_of": as_of}
    ).scalar_one()
    if newest is None:
        return ""
    by_clock = read_timeframe(connection, timeframe).is_by_clock
    moment = _typed(newest) if by_clock else f"{newest.astimezone(UTC):%Y-%m-%d}"
    return (
        f" If there are no newer bars, forecast as of the newest that there are: `forecastle check --timeframe "
        f"{timeframe} --as-of {moment}`, then `forecastle forecast --as-of {moment}`."
    )


def _typed(moment: datetime) -> str:
    """Return the moment as `--as-of` takes it: a day, where it is the end of one."""
    moment = moment.astimezone(UTC)
    end_of_day = moment.time() == time(23, 59, 59, 999999)
    return f"{moment:%Y-%m-%d}" if end_of_day else moment.isoformat()


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
