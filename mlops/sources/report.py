"""What an ingest tells its caller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection

from mlops.domain import IngestCounts
from mlops.warehouse import sql


@dataclass(frozen=True, slots=True)
class Ingested(IngestCounts):
    """The counts of one ingest, its id in `market.ingests`, and how many rows were rejected for which reason."""

    ingest_id: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)

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


def reasons_counted(connection: Connection) -> dict[str, int]:
    """Return how many of the staged lines were rejected for which reason, the most frequent first."""
    return {row.reason: row.n for row in connection.execute(sql("sources", "count_reasons"))}
