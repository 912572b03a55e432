"""Earnings announcements into the warehouse, the same way as bars: stage, judge, take over, in one transaction."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, text

from mlops import clock
from mlops.exceptions import SourceError
from mlops.sources.calendars import EARLIEST, extend_sessions
from mlops.sources.ingested import NOT_YET, Ingested, Ticket, Waiting, record_ingest
from mlops.sources.kinds import Kind
from mlops.sources.layout import EARNINGS, Batch, Source, first_taken, readable
from mlops.sources.rejections import Rejections, refuse_if_mostly_rejected, save_rejections
from mlops.sources.values import read_moments, read_numbers, read_text
from mlops.warehouse import Warehouse, sql
from mlops.warehouse.copying import copy_rows
from mlops.warehouse.locks import take_lock

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RELEASES = {"pre": "pre", "bmo": "pre", "post": "post", "amc": "post"}
"""How files write when a release came: before the open or after the close of its day."""

_COLUMNS = ("line", "symbol_id", "ticker", "date", "quarter", "eps_estimate", "eps_actual", "release")


def ingest_earnings(
    warehouse: Warehouse, source: Source, *, now: datetime | None = None, waits_until: datetime | None = None
) -> Ingested:
    """Take the announcements of `source` into `market.earnings` and return what became of its rows.

    The moment of a release is not in such files, so the latest that is possible stands for it, as `ts` and `known_at`:
    the open of the day's session (`pre`; of the next session where the day has none), or the end of the day in the
    exchange's timezone (`post`). A release after `now` is rejected, or left to wait where it is known by `waits_until`
    (see `Ingested`). A symbol that has no bars is rejected.

    Raises SourceError where the source as a whole cannot be used; then nothing is written.
    """
    started_at = clock.now()
    moment = now or started_at
    last_moment = max(moment, waits_until or moment)
    with readable(source.name):
        batches = first_taken(source.batches(EARNINGS))
    with readable(source.name), warehouse.begin() as connection:
        take_lock(connection, "market.earnings")
        ticket = Ticket.drawn(connection, "earnings", source.name, started_at)
        connection.execute(sql("sources", "stage_earnings"))
        staging = _Staging(connection, last_moment)
        for batch in batches:
            staging.take(batch)
            refuse_if_mostly_rejected(source.name, staging.n_rejected, staging.n_read)
        staging.finish(source.name)
        parameters = ticket.parameters | {
            "now": moment,
            "waits_until": last_moment,
            "not_yet": NOT_YET,
            "has_quarter": staging.has_quarter,
        }

        def run(name: str) -> int:
            return int(connection.execute(sql("sources", name), parameters).rowcount)

        connection.execute(text("ANALYZE staged_earnings"))
        run("time_earnings")
        rejected = staging.n_rejected + run("judge_earnings")
        waiting = Waiting.counted(connection, ticket.kind, parameters)
        refuse_if_mostly_rejected(source.name, rejected - waiting.n, staging.n_read)
        changed = run("find_changed_earnings")
        if changed:
            run("keep_superseded_earnings")
            run("correct_earnings")
        return record_ingest(
            connection,
            ticket,
            read=staging.n_read,
            new=run("add_earnings"),
            changed=changed,
            rejected=rejected,
            sha256=source.sha256,
            waiting=waiting,
        )


KIND = Kind(EARNINGS, "Take earnings announcements in, of symbols that have bars.", ingest_earnings)


class _Staging:
    """Fills the temporary tables batch by batch."""

    def __init__(self, connection: Connection, last_moment: datetime) -> None:
        self.connection = connection
        self.last_day = max(last_moment, clock.now()).astimezone(UTC).date()
        self.n_read = self.n_rejected = self.n_unreadable = 0
        self.has_quarter = False
        self.symbols = {
            row.ticker: row for row in connection.execute(text("SELECT ticker, id, exchange FROM market.symbols"))
        }

    def take(self, batch: Batch) -> None:
        """Stage the rows of a batch that can be read, and note those that cannot."""
        import numpy as np

        table = batch.table
        self.has_quarter = "quarter" in table.column_names
        rejections = Rejections(table)
        tickers = read_text(table.column("symbol")).to_pylist()
        moments = read_moments(table.column("date"), "date")
        days = moments.values.astype("datetime64[D]")
        releases = [
            None if word is None else RELEASES.get(word.lower())
            for word in read_text(table.column("release")).to_pylist()
        ]
        rejections.add_symbols(tickers, self.symbols)
        rejections.add(moments.missing, "date is missing")
        rejections.add(moments.unreadable, "date is no date")
        rejections.add(days < np.datetime64(EARLIEST), f"date is before {EARLIEST.year}")
        rejections.add(days > np.datetime64(self.last_day) + 1, "the release is in the future")
        rejections.add_where((release is None for release in releases), "release is neither pre nor post")
        eps = {}
        for name in ("eps_estimate", "eps_actual"):
            eps[name], unreadable = read_numbers(table.column(name))
            rejections.add(unreadable, f"{name} is no number")
        quarters = read_text(table.column("quarter")).to_pylist() if self.has_quarter else [None] * table.num_rows
        rejections.add_names(quarters, "quarter")
        self.n_read += table.num_rows + len(batch.rejections)
        self.n_unreadable += int(np.count_nonzero(moments.unreadable))
        self.n_rejected += save_rejections(self.connection, [*batch.rejections, *rejections.rows()])

        good = np.flatnonzero(rejections.accepted)
        lines = table.column("line").to_pylist()
        oldest: dict[str, Any] = {}
        rows = []
        for row in good:
            symbol, day = self.symbols[tickers[row]], days[row].item()
            oldest[symbol.exchange] = min(day, oldest.get(symbol.exchange, day))
            numbers = (_null(eps["eps_estimate"], row), _null(eps["eps_actual"], row))
            rows.append((lines[row], symbol.id, tickers[row], day, quarters[row], *numbers, releases[row]))
        for exchange, day in oldest.items():
            extend_sessions(self.connection, exchange, min(day, clock.now().date()), clock.now())
        copy_rows(self.connection, "staged_earnings", _COLUMNS, rows)

    def finish(self, where: str) -> None:
        """Raise SourceError where no row at all has a date that can be read."""
        if self.n_read and self.n_unreadable == self.n_read:
            raise SourceError(f"No row of {where} has a date that can be read. Write them as 2017-06-30.")


def _null(values: NDArray[np.float64], row: np.intp) -> float | None:
    value = float(values[row])
    return None if value != value else value  # noqa: PLR0124 -- NaN
