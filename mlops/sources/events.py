"""Events of symbols into the warehouse, for any kind whose layout says it all: stage, judge, take over, as for bars.

A kind of that sort has a table `market.KIND` with the columns symbol_id, ts (when it happens), known_at (when the
market could know of it), recorded_at, and one for each other field of its layout. Symbol, ts and the fields that are
marked as key name a row. Where the table has a column ingest_id, that is filled, and where there is a table
`market.superseded_KIND`, with superseded_at beside the same columns, it keeps what a correction replaces.
"""

# ruff: noqa: S608 -- statements are put together of the names in our own layouts, never of what a file says

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from mlops import clock
from mlops.exceptions import SourceError
from mlops.sources.calendars import EARLIEST
from mlops.sources.ingested import NOT_YET, Ingested, Ticket, Waiting, record_ingest
from mlops.sources.layout import Batch, Field, Layout, Source, first_taken, readable
from mlops.sources.rejections import Rejections, refuse_if_mostly_rejected, save_rejections
from mlops.sources.values import read_moments, read_numbers, read_text
from mlops.warehouse import Warehouse
from mlops.warehouse.copying import copy_rows
from mlops.warehouse.locks import take_lock

if TYPE_CHECKING:
    import pyarrow as pa

SYMBOL = Field("symbol", ("ticker", "sym", "instrument"))
KNOWN_AT = Field("known_at", ("knownat", "announced", "announcedat"), required=False, type="moment")
"""Two fields that every layout of events has; where a file does not say `known_at`, it is `ts`."""

FUTURE = "it is known only in the future"
_TYPES = {"text": "text", "number": "double precision", "moment": "timestamptz"}
_LAST_YEAR = 2200


@dataclass(frozen=True, slots=True)
class Events:
    """How rows of one layout are taken in; call it.

    Attributes:
        layout: with `SYMBOL`, a field `ts` and `KNOWN_AT` among its fields.
        impossible: conditions in SQL on the fields, and the reason for which a row is rejected where one holds.
    """

    layout: Layout
    impossible: tuple[tuple[str, str], ...] = ()

    def __call__(
        self, warehouse: Warehouse, source: Source, *, now: datetime | None = None, waits_until: datetime | None = None
    ) -> Ingested:
        """Take the rows of `source` into the table of the layout and return what became of them.

        A date is the beginning of that day where the symbol trades, and so is read a time without an offset. A field
        for which the file has no column keeps the value that a row has. A symbol that has no bars is rejected, and a
        row that is known after `now` (UTC), or left to wait where it is known by `waits_until` (see `Ingested`).

        Raises SourceError where the source as a whole cannot be used; then nothing is written.
        """
        started_at = clock.now()
        moment = now or started_at
        kind = self.layout.kind
        with readable(source.name):
            batches = first_taken(source.batches(self.layout))
        with readable(source.name), warehouse.begin() as connection:
            take_lock(connection, f"market.{kind}")
            ticket = Ticket.drawn(connection, kind, source.name, started_at)
            staging = _Staging(connection, self.layout)
            for batch in batches:
                staging.take(batch)
                refuse_if_mostly_rejected(source.name, staging.n_rejected, staging.n_read)
            staging.finish(source.name)
            parameters = ticket.parameters | {
                "now": moment,
                "waits_until": max(moment, waits_until or moment),
                "not_yet": NOT_YET,
                "future": FUTURE,
            }
            statements = _Statements(connection, self.layout, staging.given)

            def run(statement: str) -> int:
                return int(connection.execute(text(statement), parameters).rowcount)

            rejected = staging.n_rejected + run(statements.judge(self.impossible))
            waiting = statements.waiting(connection)
            refuse_if_mostly_rejected(source.name, rejected - waiting.n, staging.n_read)
            changed = run(statements.find_changed())
            if changed:
                if statements.keeps_superseded:
                    run(statements.keep_superseded())
                run(statements.correct())
            new = run(statements.add())
            return record_ingest(
                connection,
                ticket,
                read=staging.n_read,
                new=new,
                changed=changed,
                rejected=rejected,
                sha256=source.sha256,
                waiting=waiting,
                file_rejected=text(statements.file_rejected()),
            )


class _Staging:
    """Fills the temporary table `staged_events` batch by batch."""

    def __init__(self, connection: Connection, layout: Layout) -> None:
        self.connection, self.layout = connection, layout
        self.n_read = self.n_rejected = self.n_undated = 0
        self.given: list[Field] = []
        columns = ", ".join(f"{each.name} {_TYPES[each.type]}" for each in layout.fields)
        connection.execute(text(_STAGE.format(columns=columns)))
        self.symbols = {
            row.ticker: row for row in connection.execute(text("SELECT ticker, id, timezone FROM market.symbols"))
        }

    def take(self, batch: Batch) -> None:
        """Stage the rows of a batch that can be read, and note those that cannot."""
        import numpy as np

        table = batch.table
        self.given = [each for each in self.layout.fields if each.name in table.column_names]
        rejections = Rejections(table)
        tickers = read_text(table.column("symbol")).to_pylist()
        rejections.add_symbols(tickers, self.symbols)
        symbols = [self.symbols.get(ticker) for ticker in tickers]
        zones = [ZoneInfo(symbol.timezone) if symbol else UTC for symbol in symbols]
        values = {
            each.name: tickers if each.name == "symbol" else _values(each, table.column(each.name), rejections, zones)
            for each in self.given
        }
        self.n_read += table.num_rows + len(batch.rejections)
        self.n_undated += sum(value is None for value in values["ts"])
        self.n_rejected += save_rejections(self.connection, [*batch.rejections, *rejections.rows()])
        good = np.flatnonzero(rejections.accepted)
        lines = table.column("line").to_pylist()
        known_at = values.setdefault("known_at", [None] * table.num_rows)
        values["known_at"] = [known or ts for known, ts in zip(known_at, values["ts"], strict=True)]
        ids = [symbol.id if symbol else None for symbol in symbols]
        rows = [(lines[row], ids[row], *(each[row] for each in values.values())) for row in good]
        copy_rows(self.connection, "staged_events", ("line", "symbol_id", *values), rows)

    def finish(self, where: str) -> None:
        """Raise SourceError where no row at all has a date that can be read."""
        if self.n_read and self.n_undated == self.n_read:
            raise SourceError(f"No row of {where} has a date that can be read. Write them as 2017-06-30.")


def _values(field: Field, column: pa.ChunkedArray, rejections: Rejections, zones: Sequence[Any]) -> list[Any]:
    """Return the values of a column, None where there is none, and note the rows at fault."""
    if field.type == "moment":
        values = _moments(field, column, rejections, zones)
    elif field.type == "number":
        numbers, unreadable = read_numbers(column)
        rejections.add(unreadable, f"{field.name} is no number")
        rejections.add_where(
            (abs(number) == float("inf") for number in numbers.tolist()), f"{field.name} is not finite"
        )
        values = [None if number != number else number for number in numbers.tolist()]  # noqa: PLR0124 -- NaN
    else:
        values = read_text(column).to_pylist()
        rejections.add_names(values, field.name)
    if field.required:
        rejections.add_where((value is None for value in values), f"{field.name} is missing")
    return values


def _moments(
    field: Field, column: pa.ChunkedArray, rejections: Rejections, zones: Sequence[Any]
) -> list[datetime | None]:
    import numpy as np

    moments = read_moments(column, field.name)
    rejections.add(moments.unreadable, f"{field.name} is no date")
    early, late = np.datetime64(EARLIEST), np.datetime64(f"{_LAST_YEAR}-01-01")
    rejections.add(moments.values < early, f"{field.name} is before {EARLIEST.year}")
    rejections.add(moments.values >= late, f"{field.name} is not before {_LAST_YEAR}")
    usable = (moments.values >= early) & (moments.values < late)
    return [
        value.replace(tzinfo=UTC if aware else zone).astimezone(UTC) if is_usable else None
        for value, aware, zone, is_usable in zip(moments.values.tolist(), moments.aware, zones, usable, strict=True)
    ]


_STAGE = """
    CREATE TEMPORARY TABLE staged_events (line bigint PRIMARY KEY, symbol_id bigint NOT NULL, {columns}) ON COMMIT DROP;
    CREATE TEMPORARY TABLE rejected_lines (line bigint PRIMARY KEY, reason text NOT NULL, row jsonb) ON COMMIT DROP;
    CREATE TEMPORARY TABLE changed_lines (line bigint PRIMARY KEY) ON COMMIT DROP;
"""


class _Statements:
    """What is done with the staged rows of a layout, in SQL. Its names are those of the layout, never of a file."""

    def __init__(self, connection: Connection, layout: Layout, given: Sequence[Field]) -> None:
        self.table = f"market.{layout.kind}"
        names = [each.name for each in given]
        self.key = ["symbol_id", "ts", *(each.name for each in layout.fields if each.key and each.name != "ts")]
        self.values = [name for name in names if name not in {"symbol", *self.key}]
        self.columns = [*self.key, *(each.name for each in layout.fields if each.name not in {"symbol", *self.key})]
        self.has_ingest_id = self._exists(
            connection,
            "SELECT FROM pg_catalog.pg_attribute WHERE attrelid = to_regclass(:name) AND attname = 'ingest_id'",
            self.table,
        )
        self.superseded = f"market.superseded_{layout.kind}"
        self.keeps_superseded = self._exists(connection, "SELECT WHERE to_regclass(:name) IS NOT NULL", self.superseded)

    @staticmethod
    def _exists(connection: Connection, query: str, name: str) -> bool:
        return bool(connection.execute(text(f"SELECT EXISTS ({query})"), {"name": name}).scalar_one())

    def _of_same_key(self) -> str:
        return " AND ".join(f"e.{name} = s.{name}" for name in self.key)

    def judge(self, impossible: Sequence[tuple[str, str]]) -> str:
        """Reject what cannot be true and note what is not known yet; of several rows of one key the first stands."""
        reasons = "".join(f"WHEN {condition} THEN '{reason}' " for condition, reason in impossible)
        key = ", ".join(self.key)
        return f"""
            WITH judged AS MATERIALIZED (
                SELECT line, {key},
                    CASE {reasons}WHEN known_at > :waits_until THEN CAST(:future AS text)
                    WHEN known_at > :now THEN CAST(:not_yet AS text) END AS reason
                FROM staged_events
            ),
            numbered AS (
                SELECT line, reason, first_value(line) OVER (
                    PARTITION BY {key}, reason IS NULL ORDER BY line
                ) AS first_line
                FROM judged
            )
            INSERT INTO rejected_lines (line, reason)
            SELECT line, coalesce(reason, 'duplicate of line ' || first_line)
            FROM numbered WHERE reason IS NOT NULL OR line > first_line
        """

    @staticmethod
    def waiting(connection: Connection) -> Waiting:
        """Return which rows wait."""
        query = """
            SELECT count(*) AS n, max(s.known_at) AS known_by
            FROM rejected_lines AS r INNER JOIN staged_events AS s USING (line) WHERE r.reason = :not_yet
        """
        row = connection.execute(text(query), {"not_yet": NOT_YET}).one()
        return Waiting(row.n, row.known_by)

    def find_changed(self) -> str:
        """Which accepted rows the table has with other values."""
        others = " OR ".join(f"e.{name} IS DISTINCT FROM s.{name}" for name in self.values) or "false"
        return f"""
            INSERT INTO changed_lines (line)
            SELECT s.line FROM staged_events AS s INNER JOIN {self.table} AS e ON {self._of_same_key()}
            WHERE ({others}) AND NOT EXISTS (SELECT FROM rejected_lines AS r WHERE r.line = s.line)
        """

    def keep_superseded(self) -> str:
        """Keep the rows that corrections are about to replace."""
        kept = [*self.columns, "recorded_at", *(["ingest_id"] if self.has_ingest_id else [])]
        return f"""
            INSERT INTO {self.superseded} ({", ".join(kept)}, superseded_at)
            SELECT {", ".join(f"e.{name}" for name in kept)}, CAST(:recorded_at AS timestamptz)
            FROM changed_lines INNER JOIN staged_events AS s USING (line)
            INNER JOIN {self.table} AS e ON {self._of_same_key()}
        """

    def correct(self) -> str:
        """Give the corrected rows the values that the file has."""
        values = [f"{name} = s.{name}" for name in self.values] + ["recorded_at = :recorded_at"]
        values += ["ingest_id = :ingest_id"] if self.has_ingest_id else []
        return f"""
            UPDATE {self.table} AS e SET {", ".join(values)}
            FROM changed_lines INNER JOIN staged_events AS s USING (line) WHERE {self._of_same_key()}
        """

    def add(self) -> str:
        """Add the accepted rows that the table does not have."""
        more = {"recorded_at": "CAST(:recorded_at AS timestamptz)"}
        if self.has_ingest_id:
            more["ingest_id"] = "CAST(:ingest_id AS bigint)"
        return f"""
            INSERT INTO {self.table} ({", ".join([*self.columns, *more])})
            SELECT {", ".join([*(f"s.{name}" for name in self.columns), *more.values()])} FROM staged_events AS s
            WHERE NOT EXISTS (SELECT FROM rejected_lines AS r WHERE r.line = s.line)
                AND NOT EXISTS (SELECT FROM {self.table} AS e WHERE {self._of_same_key()})
            ORDER BY s.line
        """

    def file_rejected(self) -> str:
        """Keep the rejected rows: as the file has them where they could not be read, else as they were understood."""
        return """
            INSERT INTO market.rejects (ingest_id, kind, file, line, reason, row, recorded_at)
            SELECT :ingest_id, :kind, :source, r.line, r.reason,
                coalesce(r.row, jsonb_strip_nulls(to_jsonb(s) - 'line' - 'symbol_id')),
                CAST(:recorded_at AS timestamptz)
            FROM rejected_lines AS r LEFT JOIN staged_events AS s ON s.line = r.line
            ORDER BY r.line
        """
