"""The trading calendar in SQL: `market.sessions`, filled from exchange-calendars, without two holidays of currencies.

Past sessions stay as they were recorded and keep their ordinals, in whichever direction the calendar grows. Future
sessions are taken again from the calendar package each time the table is extended, so that a holiday announced later
comes with its next release.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, text

from mlops.domain import Calendar
from mlops.exceptions import SourceError
from mlops.warehouse import sql
from mlops.warehouse.copying import copy_rows
from mlops.warehouse.locks import take_lock

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

AHEAD_AT_LEAST = timedelta(days=330)
"""The table is extended as soon as it reaches less than this beyond today."""
AHEAD = timedelta(days=400)
"""How far beyond today the table reaches when it has been extended."""
_HOLIDAYS: dict[str, frozenset[tuple[int, int]]] = {"24/5": frozenset({(1, 1), (12, 25)})}
"""Month and day of holidays that exchange-calendars takes for sessions: its `24/5` has every weekday, and on these two
no market of currencies is open. On other holidays, such as 24 and 26 December, there are some quotes."""
EARLIEST = date(1900, 1, 1)
"""No bar is older: an older date is a mistake of the file, and a calendar that long of no use."""


@dataclass(frozen=True, slots=True)
class Sessions:
    """Sessions, or weeks of them, of one exchange in order: opens and closes (datetime64[us], UTC).

    `days` (datetime64[D]) are the days of the sessions; of weeks, their Mondays, whether there is a session or not.
    """

    rule: Calendar
    days: NDArray[np.datetime64]
    opens: NDArray[np.datetime64]
    closes: NDArray[np.datetime64]

    def positions(self, days: NDArray[np.datetime64]) -> NDArray[np.int64]:
        """Return in which of the sessions, or weeks, each of `days` is; -1 where it is in none."""
        import numpy as np

        if self.rule == "week":
            days = mondays(days)
        if not len(self.days):
            return np.full(len(days), -1)
        at = np.minimum(np.searchsorted(self.days, days), len(self.days) - 1)
        return np.where(self.days[at] == days, at, -1)


def mondays(days: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    """Return the Monday of the week that each of `days` (datetime64[D]) is in; a week ends with its Sunday."""
    import numpy as np

    whole = days.astype("datetime64[D]")
    since_monday = (whole.view(np.int64) + 3) % 7  # day 0, 1970-01-01, was a Thursday
    monday: NDArray[np.datetime64] = whole - since_monday.astype("timedelta64[D]")
    return monday


def exchange_named(name: str) -> str:
    """Return the name under which exchange-calendars keeps an exchange: XNYS for NYSE. Raises SourceError."""
    import exchange_calendars

    try:
        resolved: str = exchange_calendars.resolve_alias(name)
    except exchange_calendars.errors.InvalidCalendarName as error:
        names = exchange_calendars.get_calendar_names()
        near = difflib.get_close_matches(name.upper(), names, n=3) or ["XNYS", "XLON", "24/5", "24/7"]
        raise SourceError(
            f"exchange-calendars knows no exchange {name!r}. Perhaps {', '.join(near)}?", exchange=name
        ) from error
    return resolved


@lru_cache(maxsize=32)
def exchange_timezone(exchange: str) -> str:
    """Return the timezone of an exchange, such as America/New_York."""
    import exchange_calendars

    return str(exchange_calendars.get_calendar(exchange).tz)


def extend_sessions(connection: Connection, exchange: str, oldest: date, now: datetime) -> None:
    """Make `market.sessions` cover `exchange` from before `oldest` to at least 300 days after `now`.

    Does nothing where it does already. Ordinals grow by one a session; the first that was ever recorded has 0.
    """
    covered = connection.execute(sql("sources", "sessions_covered"), {"exchange": exchange}).one()
    today = now.astimezone(UTC).date()
    if covered.first is not None and covered.first <= oldest and covered.last >= today + AHEAD_AT_LEAST:
        return
    take_lock(connection, "market.sessions")
    covered = connection.execute(sql("sources", "sessions_covered"), {"exchange": exchange}).one()
    # From January of a year that began a month ago or earlier, so that its first session is not after `oldest`
    begin = max(EARLIEST, date((oldest - timedelta(days=31)).year, 1, 1))
    if covered.first is None:
        rows = _calendar(exchange, begin, today + AHEAD)
        _append(connection, exchange, rows, first_ordinal=0)
        return
    if covered.first > oldest:
        rows = [row for row in _calendar(exchange, begin, covered.first) if row[0] < covered.first]
        _append(connection, exchange, rows, first_ordinal=covered.first_ordinal - len(rows))
    if covered.last < today + AHEAD_AT_LEAST:
        kept_until = min(covered.last, today)
        connection.execute(
            text("DELETE FROM market.sessions WHERE exchange = :exchange AND session > :kept_until"),
            {"exchange": exchange, "kept_until": kept_until},
        )
        last = connection.execute(sql("sources", "sessions_covered"), {"exchange": exchange}).one()
        rows = [row for row in _calendar(exchange, kept_until, today + AHEAD) if row[0] > kept_until]
        _append(connection, exchange, rows, first_ordinal=last.last_ordinal + 1)


def read_sessions(connection: Connection, rule: Calendar, exchange: str, first: date, last: date) -> Sessions:
    """Return the sessions, or the weeks, of `exchange` that two days and those between them are in."""
    import numpy as np

    if rule == "week":
        first, last = first - timedelta(days=first.weekday()), last + timedelta(days=6 - last.weekday())
    asked = {"rule": rule, "exchange": exchange, "first": first, "last": last}
    rows = connection.execute(sql("sources", "sessions_between"), asked).all()
    days = np.array([row.session for row in rows], dtype="datetime64[D]")
    return Sessions(
        rule=rule,
        days=mondays(days) if rule == "week" else days,
        opens=np.array([_naive_utc(row.opens_at) for row in rows], dtype="datetime64[us]"),
        closes=np.array([_naive_utc(row.closes_at) for row in rows], dtype="datetime64[us]"),
    )


def _naive_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


@lru_cache(maxsize=32)
def _calendar(exchange: str, first: date, last: date) -> list[tuple[Any, ...]]:
    """Return (session, open, close) of an exchange between two days; where its calendar begins later, from there.

    The days on which nothing is traded, although the package has a session, are left out.
    """
    import exchange_calendars
    import pandas as pd

    kind = type(exchange_calendars.get_calendar(exchange))
    start, end = pd.Timestamp(first), pd.Timestamp(last)
    if kind.bound_min() is not None:
        start = max(start, kind.bound_min())
    if kind.bound_max() is not None:
        end = min(end, kind.bound_max())
    if start >= end:
        return []
    schedule = exchange_calendars.get_calendar(exchange, start=start, end=end).schedule
    return [
        (session.date(), opens.to_pydatetime(), closes.to_pydatetime())
        for session, opens, closes in zip(schedule.index, schedule["open"], schedule["close"], strict=True)
        if (session.month, session.day) not in _HOLIDAYS.get(exchange, ())
    ]


def _append(connection: Connection, exchange: str, rows: list[tuple[Any, ...]], *, first_ordinal: int) -> None:
    copy_rows(
        connection,
        "market.sessions",
        ("exchange", "session", "opens_at", "closes_at", "ordinal"),
        ((exchange, *row, first_ordinal + position) for position, row in enumerate(rows)),
    )
