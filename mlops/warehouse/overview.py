"""What a database has, at a glance: for whoever wants to know whether it is the right one, and up to date."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mlops.warehouse.engine import Warehouse
from mlops.warehouse.migrate import current_revision, newest_revision
from mlops.warehouse.queries import sql


@dataclass(frozen=True, slots=True)
class Overview:
    """A database.

    Attributes:
        revision: that its tables are at, None where it has none of ours; `newest_revision` is the one to be at.
        size_bytes: on disk.
        bars: an estimate.
        newest_bar: when it opens, UTC.
        production: the versions that forecast in earnest, as `stocks_d1 v3`.

    What is behind `newest_revision` is None where the tables are not at that revision.
    """

    revision: str | None
    newest_revision: str
    postgresql: str | None = None
    timescaledb: str | None = None
    size_bytes: int | None = None
    symbols: int | None = None
    bars: int | None = None
    newest_bar: datetime | None = None
    production: tuple[str, ...] | None = None


def overview(warehouse: Warehouse) -> Overview:
    """Return what `warehouse` has. Raises WarehouseUnreachableError where it does not answer."""
    revision, newest = current_revision(warehouse), newest_revision()
    if revision != newest:
        return Overview(revision, newest)
    with warehouse.begin(role=None) as connection:
        row = connection.execute(sql("warehouse", "overview")).one()
    return Overview(
        revision,
        newest,
        postgresql=row.postgresql,
        timescaledb=row.timescaledb,
        size_bytes=row.size_bytes,
        symbols=row.symbols,
        bars=row.bars,
        newest_bar=row.newest_bar,
        production=tuple(row.production),
    )
