"""Bars into the warehouse: stage a source by COPY, judge it and take it over in SQL, all in one transaction.

Rows that cannot be read (no symbol, no date, no number, no such session) are rejected here, while a batch is staged;
rows that can be read but cannot be true are rejected by one pass of SQL over the staged rows. A killed process
leaves nothing.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, text

from mlops import clock
from mlops.sources.ingested import NOT_YET, Ingested, Ticket, Waiting, record_ingest
from mlops.sources.layout import BARS, Source, first_taken, readable
from mlops.sources.rejections import refuse_if_mostly_rejected
from mlops.sources.staging import BarStaging
from mlops.sources.terms import Terms
from mlops.warehouse import Warehouse, sql
from mlops.warehouse.locks import take_lock

_MANY = 20_000
"""From so many rows on, hashing beats probing an index for each."""


def ingest_bars(
    warehouse: Warehouse,
    source: Source,
    *,
    timeframe: str | None = None,
    exchange: str | None = None,
    asset_class: str | None = None,
    timezone: str | None = None,
    now: datetime | None = None,
    waits_until: datetime | None = None,
) -> Ingested:
    """Take the bars of `source` into `market.bars` and return what became of its rows.

    Without `timeframe` it is `d1` where the rows have dates only. A daily bar belongs to the session of its
    date: `ts` is the session's open and `known_at` its close; a weekly one likewise to the sessions of its week.
    Elsewhere `ts` is as given, read in `timezone` where it has no offset, and `known_at` is `ts` and the timeframe.
    `exchange` (a name of exchange-calendars) and `asset_class` are for symbols that are new; one that is known keeps
    its own. Nothing known after `now` is accepted: it is rejected, or left to wait where it is known by `waits_until`
    (see `Ingested`).

    Raises SourceError where the source as a whole cannot be used, and TimeframeError where there is no such timeframe;
    then nothing is written.
    """
    terms = Terms.checked(
        timeframe=timeframe,
        exchange=exchange,
        asset_class=asset_class,
        timezone=timezone,
        now=now or clock.now(),
        waits_until=waits_until,
    )
    started_at = clock.now()
    with readable(source.name):
        batches = first_taken(source.batches(BARS))
    with readable(source.name), warehouse.begin() as connection:
        # Taken first, so that recorded_at grows in the order in which ingests commit
        take_lock(connection, "market.bars")
        ticket = Ticket.drawn(connection, "bars", source.name, started_at)
        connection.execute(sql("sources", "stage_bars"))
        staging = BarStaging(connection, terms)
        for batch in batches:
            staging.take(batch)
            refuse_if_mostly_rejected(source.name, staging.n_rejected, staging.n_read)
        staging.finish(source.name)
        new, changed, rejected, waiting = _take_over(connection, staging, ticket)
        span = {"timeframe": staging.timeframe_name, "first": staging.first, "last": staging.last}
        return record_ingest(
            connection,
            ticket,
            read=staging.n_read,
            new=new,
            changed=changed,
            rejected=rejected,
            sha256=source.sha256,
            file_rejected=sql("sources", "file_rejected_bars"),
            timeframe=staging.timeframe_name,
            waiting=waiting,
            newest=connection.execute(sql("sources", "newest_bar"), span).scalar_one_or_none(),
        )


def _take_over(connection: Connection, staging: BarStaging, ticket: Ticket) -> tuple[int, int, int, Waiting]:
    """Judge what is staged and bring `market.bars` up to date with it.

    Return how many rows are new, changed and rejected, those that wait among the last, and which wait.
    """
    n_rejected = staging.n_rejected
    n_new = n_changed = 0
    waiting = Waiting()
    if staging.first is not None:
        parameters = ticket.parameters | {
            "timeframe": staging.timeframe_name,
            "now": staging.terms.now,
            "waits_until": staging.terms.waits_until,
            "not_yet": NOT_YET,
            "first": staging.first,
            "last": staging.last,
            "has_volume": staging.has("volume"),
            "has_adj_close": staging.has("adj_close"),
        }

        def run(name: str) -> int:
            return int(connection.execute(sql("sources", name), parameters).rowcount)

        connection.execute(text("ANALYZE staged_bars (symbol_no, ts, line)"))
        if staging.n_read >= _MANY:
            connection.execute(sql("sources", "plan_for_many"))
        n_rejected += run("judge_bars") + run("reject_duplicate_bars")
        if staging.terms.waits_until > staging.terms.now:
            waiting = Waiting.counted(connection, sql("sources", "waiting_bars"))
        refuse_if_mostly_rejected(ticket.source, n_rejected - waiting.n, staging.n_read)
        n_present = 0
        if staging.has_known_symbols:
            compared = connection.execute(sql("sources", "find_changed_bars"), parameters).one()
            n_present, n_changed = compared.n_present, compared.n_changed
        if n_changed:
            run("keep_superseded_bars")
            run("correct_bars")
        if staging.has_new_symbols:
            run("add_symbols")
            run("name_new_symbols")
        if n_present + n_rejected < staging.n_read:
            n_new = run("add_bars")
    return n_new, n_changed, n_rejected, waiting
