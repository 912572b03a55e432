"""Events of symbols into the warehouse, for any kind whose layout says it all: stage, judge, take over, as for bars.

A kind of that sort has a table `market.KIND` with the columns symbol_id, ts (when it happens), known_at (when the
market could know of it), recorded_at, and one for each other field of its layout. Symbol, ts and the fields that are
marked as key name a row; where ts is not in the files but follows from other fields (`Timing`), symbol and the fields
that are marked. Where the table has a column ingest_id, that is filled, and where there is a table
`market.superseded_KIND`, with superseded_at beside the same columns, it keeps what a correction replaces.
"""

# ruff: noqa: S608 -- statements are put together of the names in our own layouts, never of what a file says

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from mlops import clock
from mlops.exceptions import SourceError
from mlops.sources.calendars import EARLIEST
from mlops.sources.ingested import FUTURE, NOT_YET, Ingested, Ticket, Waiting, record_ingest
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
"""Two fields that layouts of events have; where a file does not say `known_at`, it is `ts`."""

_TYPES = {"text": "text", "number": "double precision", "moment": "timestamptz", "date": "date"}
_LAST_YEAR = 2200


@dataclass(frozen=True, slots=True)
class Timing:
    """How `ts` follows from other fields, for a kind whose files do not have it.

    Attributes:
        fields: the fields that it follows from. A correction that leaves them as they are leaves ts and known_at, too,
            even where the calendar was changed meanwhile.
        fill: sets ts in all rows of the temporary table `staged_events`; NULL where the calendar does not reach.
    """

    fields: tuple[str, ...]
    fill: Callable[[Connection], None]


@dataclass(frozen=True, slots=True)
class Events:
    """How rows of one layout are taken in; call it.

    Attributes:
        layout: with `SYMBOL` among its fields, and without a timing a field `ts` and `KNOWN_AT`.
        impossible: conditions in SQL on the fields, and the reason for which a row is rejected where one holds.
        timing: where `ts` is no field, what it follows from.
    """

    layout: Layout
    impossible: tuple[tuple[str, str], ...] = ()
    timing: Timing | None = None

    def __call__(
        self, warehouse: Warehouse, source: Source, *, now: datetime | None = None, waits_until: datetime | None = None
    ) -> Ingested:
        """Take the rows of `source` into the table of the layout and return what became of them.

        A moment that is given as a date is the beginning of that day where the symbol trades, and a time without an
        offset is read as one there. A field for which the file has no column keeps the value that a row has. A symbol
        that has no bars is rejected, and a row that is known after `now` (UTC), or left to wait where it is known by
        `waits_until` (see `Ingested`).

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
            if self.timing:
                self.timing.fill(connection)
            connection.execute(text("UPDATE staged_events SET known_at = ts WHERE known_at IS NULL"))
            parameters = ticket.parameters | {
                "now": moment,
                "waits_until": max(moment, waits_until or moment),
                "not_yet": NOT_YET,
                "future": FUTURE,
            }
            statements = _Statements(connection, self.layout, staging.given, self.timing)

            def run(statement: str) -> int:
                return int(connection.execute(text(statement), parameters).rowcount)

            rejected = staging.n_rejected + run(statements.judge(self.impossible))
            waiting = Waiting.counted(connection, text(_WAITING))
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
        self.dated_by = next(each.name for each in layout.fields if each.type in {"moment", "date"})
        columns = [f"{each.name} {_TYPES[each.type]}" for each in layout.fields]
        columns += [f"{name} timestamptz" for name in _not_in_files(layout)]
        connection.execute(text(_STAGE.format(columns=", ".join(columns))))
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
        self.n_undated += sum(value is None for value in values[self.dated_by])
        self.n_rejected += save_rejections(self.connection, [*batch.rejections, *rejections.rows()])
        good = np.flatnonzero(rejections.accepted)
        lines = table.column("line").to_pylist()
        ids = [symbol.id if symbol else None for symbol in symbols]
        rows = [(lines[row], ids[row], *(each[row] for each in values.values())) for row in good]
        copy_rows(self.connection, "staged_events", ("line", "symbol_id", *values), rows)

    def finish(self, where: str) -> None:
        """Raise SourceError where no row at all has a date that can be read."""
        if self.n_read and self.n_undated == self.n_read:
            raise SourceError(f"No row of {where} has a date that can be read. Write them as 2017-06-30.")


def _values(field: Field, column: pa.ChunkedArray, rejections: Rejections, zones: Sequence[Any]) -> list[Any]:
    """Return the values of a column, None where there is none, and note the rows at fault."""
    values: list[Any]
    if field.type in {"moment", "date"}:
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
        if field.words is None:
            rejections.add_names(values, field.name)
        else:
            kept = [None if value is None else field.words.get(value.lower()) for value in values]
            unknown = (value is not None and word is None for value, word in zip(values, kept, strict=True))
            allowed = " nor ".join(dict.fromkeys(field.words.values()))
            rejections.add_where(unknown, f"{field.name} is neither {allowed}")
            values = kept
    if field.required and not field.may_be_empty:
        rejections.add_where((value is None for value in values), f"{field.name} is missing")
    return values


def _moments(
    field: Field, column: pa.ChunkedArray, rejections: Rejections, zones: Sequence[Any]
) -> list[datetime | date | None]:
    import numpy as np

    moments = read_moments(column, field.name)
    rejections.add(moments.unreadable, f"{field.name} is no date")
    early, late = np.datetime64(EARLIEST), np.datetime64(f"{_LAST_YEAR}-01-01")
    rejections.add(moments.values < early, f"{field.name} is before {EARLIEST.year}")
    rejections.add(moments.values >= late, f"{field.name} is not before {_LAST_YEAR}")
    usable = (moments.values >= early) & (moments.values < late)
    if field.type == "date":
        days = moments.values.astype("datetime64[D]").tolist()
        return [day if is_usable else None for day, is_usable in zip(days, usable, strict=True)]
    return [
        value.replace(tzinfo=UTC if aware else zone).astimezone(UTC) if is_usable else None
        for value, aware, zone, is_usable in zip(moments.values.tolist(), moments.aware, zones, usable, strict=True)
    ]


def _not_in_files(layout: Layout) -> list[str]:
    """Return which moments of an event are no fields of its layout, but follow from others."""
    return [name for name in ("ts", "known_at") if name not in layout.names]


_STAGE = """
    CREATE TEMPORARY TABLE staged_events (line bigint PRIMARY KEY, symbol_id bigint NOT NULL, {columns}) ON COMMIT DROP;
    CREATE TEMPORARY TABLE rejected_lines (line bigint PRIMARY KEY, reason text NOT NULL, row jsonb) ON COMMIT DROP;
    CREATE TEMPORARY TABLE changed_lines (line bigint PRIMARY KEY) ON COMMIT DROP;
"""

_WAITING = """
    SELECT count(*) AS n, max(s.known_at) AS known_by
    FROM rejected_lines AS r INNER JOIN staged_events AS s USING (line) WHERE r.reason = :not_yet
"""


class _Statements:
    """What is done with the staged rows of a layout, in SQL. Its names are those of the layout, never of a file."""

    def __init__(self, connection: Connection, layout: Layout, given: Sequence[Field], timing: Timing | None) -> None:
        self.table, self.timing = f"market.{layout.kind}", timing
        names = [each.name for each in given]
        marked = [each.name for each in layout.fields if each.key and each.name != "ts"]
        self.not_in_files = _not_in_files(layout)
        self.key = ["symbol_id", *(["ts"] if "ts" in layout.names else []), *marked]
        self.values = [name for name in names if name not in {"symbol", *self.key}]
        self.columns = [*self.key, *(each.name for each in layout.fields if each.name not in {"symbol", *self.key})]
        self.columns += self.not_in_files
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
                    CASE {reasons}WHEN known_at IS NULL OR known_at > :waits_until THEN CAST(:future AS text)
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
        if self.timing:
            same = " AND ".join(f"e.{name} IS NOT DISTINCT FROM s.{name}" for name in self.timing.fields)
            values += [f"{name} = CASE WHEN {same} THEN e.{name} ELSE s.{name} END" for name in ("ts", "known_at")]
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
        not_of_the_file = ", ".join(f"'{name}'" for name in ("line", "symbol_id", *self.not_in_files))
        return f"""
            INSERT INTO market.rejects (ingest_id, kind, file, line, reason, row, recorded_at)
            SELECT :ingest_id, :kind, :source, r.line, r.reason,
                coalesce(r.row, jsonb_strip_nulls(to_jsonb(s) - ARRAY[{not_of_the_file}])),
                CAST(:recorded_at AS timestamptz)
            FROM rejected_lines AS r LEFT JOIN staged_events AS s ON s.line = r.line
            ORDER BY r.line
        """
