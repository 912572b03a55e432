"""What an ingest did: it is written into market.ingests and market.rejects, and returned to the caller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Executable

from mlops.domain import IngestCounts
from mlops.warehouse import sql

NOT_YET = "not known yet"
"""The reason of a row that is left out without being rejected: its source will be ingested again."""

FUTURE = "it is known only in the future"
"""The reason of an event that is known later than now."""

IN_THE_FUTURE = frozenset({"the bar is in the future", FUTURE})
"""The reasons of rows that are rejected today and may be accepted on a later day."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The rows of a source that are known later than the ingest, but soon: how many, and when (UTC) they all are."""

    n: int = 0
    known_by: datetime | None = None

    @classmethod
    def counted(cls, connection: Connection, query: Executable) -> Waiting:
        """Count them among the staged rows, which have been judged. `query` gives their number and `known_by`."""
        row = connection.execute(query, {"not_yet": NOT_YET}).one()
        return cls(row.n, row.known_by)


@dataclass(frozen=True, slots=True)
class Ingested(IngestCounts):
    """The counts of one ingest, its id in `market.ingests`, and how many rows were rejected for which reason.

    Where rows wait, the source has to be ingested again. Until then, rows that are wrong are named in `reasons`, but
    they are neither counted nor kept as rejected, since each further ingest would reject them again.

    `newest` is when the market knew the newest bar of the source, UTC; None for rows that are not bars.
    """

    ingest_id: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    waiting: Waiting = Waiting()
    newest: datetime | None = None

    @property
    def counts(self) -> dict[str, int]:
        """The five counts by name."""
        return {
            "read": self.read,
            "new": self.new,
            "changed": self.changed,
            "unchanged": self.unchanged,
            "rejected": self.rejected,
        }


@dataclass(frozen=True, slots=True)
class Ticket:
    """What every row of one ingest carries: its number, its source, and when the database learnt it."""

    ingest_id: int
    kind: str
    source: str
    started_at: datetime
    recorded_at: datetime

    @classmethod
    def drawn(cls, connection: Connection, kind: str, source: str, started_at: datetime) -> Ticket:
        """Draw the next number and the moment at which the rows of this ingest are recorded."""
        row = connection.execute(sql("sources", "draw_ticket")).one()
        return cls(row.ingest_id, kind, source, started_at, row.recorded_at)

    @property
    def parameters(self) -> dict[str, Any]:
        """The ticket as parameters of a query."""
        return asdict(self)


def record_ingest(
    connection: Connection,
    ticket: Ticket,
    *,
    read: int,
    new: int,
    changed: int,
    rejected: int,
    sha256: str | None,
    file_rejected: Executable,
    timeframe: str | None = None,
    waiting: Waiting = Waiting(),
    newest: datetime | None = None,
) -> Ingested:
    """Write the ingest into market.ingests and its rejected rows into market.rejects; return what it did.

    `file_rejected` is the statement that keeps the rejected rows. `rejected` counts the rows that wait, too. Nothing is
    written of an ingest of which all rows wait.
    """
    reasons = {row.reason: row.n for row in connection.execute(sql("sources", "count_reasons"))}
    reasons.pop(NOT_YET, None)
    if waiting.n:
        read, rejected = read - rejected, 0
    ingested = Ingested(
        read=read,
        new=new,
        changed=changed,
        unchanged=read - new - changed - rejected,
        rejected=rejected,
        ingest_id=ticket.ingest_id,
        reasons=reasons,
        waiting=waiting,
        newest=newest,
    )
    if waiting.n and not read:
        return ingested
    about = ticket.parameters | ingested.counts | {"sha256": sha256, "timeframe": timeframe}
    connection.execute(sql("sources", "note_ingest"), about)
    if rejected:
        connection.execute(file_rejected, about)
    return ingested
