"""Earnings announcements, whose files say the day of a release and on which side of the session it came."""

from __future__ import annotations

from sqlalchemy import Connection, text

from mlops import clock
from mlops.sources.calendars import extend_sessions
from mlops.sources.events import SYMBOL, Events, Timing
from mlops.sources.kinds import Kind
from mlops.sources.layout import Field, Layout
from mlops.warehouse import sql

EARNINGS = Layout(
    "earnings",
    (
        SYMBOL,
        Field("date", ("day", "announced", "announcementdate", "reportdate"), type="date", key=True),
        Field("eps_estimate", ("epsest", "estimate", "estimatedeps", "epsestimated"), type="number", may_be_empty=True),
        Field("eps_actual", ("eps", "actual", "actualeps", "reportedeps"), type="number", may_be_empty=True),
        Field(
            "release",
            ("releasetime", "when", "session", "time"),
            words={"pre": "pre", "bmo": "pre", "post": "post", "amc": "post"},
        ),
        Field("quarter", ("qtr", "fiscalquarter", "period"), required=False),
    ),
)
"""An earnings announcement. `date` is the local day of the release; `release` says whether it came before the open
(`pre`) or after the close (`post`); EPS in USD."""


def _fill_ts(connection: Connection) -> None:
    """Set `ts` to the latest moment at which each staged release can have happened.

    The moment itself is not in such files. It is over by the open of the day's session (`pre`; of the next session
    where the day has none), or by the end of the day in the exchange's timezone (`post`).
    """
    now = clock.now()
    for each in connection.execute(sql("sources", "oldest_earnings")).all():
        extend_sessions(connection, each.exchange, min(each.oldest, now.date()), now)
    connection.execute(text("ANALYZE staged_events"))
    connection.execute(sql("sources", "time_earnings"))


ingest_earnings = Events(
    EARNINGS,
    impossible=(("eps_estimate IS NULL AND eps_actual IS NULL", "estimate and actual are both missing"),),
    timing=Timing(("date", "release"), _fill_ts),
)

KIND = Kind(EARNINGS, "Take earnings announcements in, of symbols that have bars.", ingest_earnings)
