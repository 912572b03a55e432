"""Bars into the warehouse: stage a source by COPY, judge it and take it over in SQL, all in one transaction.

What cannot even be read (no symbol, no date, no number, no such session) is told apart here, while a batch is staged;
what was read and cannot be true is found by one pass of SQL over the staged rows. A killed process leaves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, text

from mlops import clock
from mlops.domain import TIMEFRAMES
from mlops.exceptions import SourceError
from mlops.sources.calendars import EARLIEST, exchange_named, exchange_timezone, extend_sessions, read_sessions
from mlops.sources.faults import Faults, file_faults
from mlops.sources.layout import BARS, Batch, Source
from mlops.sources.report import Ingested, reasons_counted
from mlops.sources.values import Moments, local_days, localize, read_moments, read_numbers, read_text, require_timezone
from mlops.warehouse import Warehouse, sql
from mlops.warehouse.copying import copy_arrays, copy_rows
from mlops.warehouse.engine import wait_for_lock

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_USUAL_EXCHANGE = {"equity": "XNYS", "index": "XNYS", "fx": "24/5", "crypto": "24/7"}
_USUAL_ASSET_CLASS = {"24/5": "fx", "24/7": "crypto"}
_PRICES = ("open", "high", "low", "close")


def ingest_bars(
    warehouse: Warehouse,
    source: Source,
    *,
    timeframe: str | None = None,
    exchange: str | None = None,
    asset_class: str | None = None,
    timezone: str | None = None,
    now: datetime | None = None,
) -> Ingested:
    """Take the bars of `source` into `market.bars` and return what became of its rows.

    `timeframe` is told from the rows where they have dates only (`d1`). A daily bar belongs to the session of its
    date: `ts` is the session's open and `known_at` its close. Elsewhere `ts` is as given, read in `timezone` where it
    has no offset, and `known_at` is `ts` and the timeframe. `exchange` (a name of exchange-calendars) and
    `asset_class` are for symbols that are new; one that is known keeps its own. Nothing known after `now` is accepted.

    Raises SourceError where the source as a whole cannot be used; then nothing is written.
    """
    terms = _Terms.checked(timeframe, exchange, asset_class, timezone, now or clock.now())
    started_at = clock.now()
    with warehouse.begin() as connection:
        # Taken first, so that recorded_at grows in the order in which ingests commit
        wait_for_lock(connection, "market.bars")
        recorded_at = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        connection.execute(sql("sources", "stage_bars"))
        staging = _Staging(connection, terms)
        for batch in source.batches(BARS):
            staging.take(batch)
        staging.finish(source.name)
        ingest_id = connection.execute(sql("sources", "next_ingest_id")).scalar_one()
        about = {
            "ingest_id": ingest_id,
            "source": source.name,
            "timeframe": staging.timeframe,
            "recorded_at": recorded_at,
        }
        n_new, n_changed, n_rejected = _take_over(connection, staging, about)
        ingested = Ingested(
            read=staging.n_read,
            new=n_new,
            changed=n_changed,
            unchanged=staging.n_read - n_new - n_changed - n_rejected,
            rejected=n_rejected,
            ingest_id=ingest_id,
            reasons=reasons_counted(connection),
        )
        connection.execute(
            sql("sources", "note_ingest"),
            about | ingested.counts | {"kind": "bars", "sha256": source.sha256, "started_at": started_at},
        )
        if n_rejected:
            connection.execute(sql("sources", "file_rejected_bars"), about)
    return ingested


def _take_over(connection: Connection, staging: _Staging, about: dict[str, Any]) -> tuple[int, int, int]:
    """Judge what is staged and bring `market.bars` up to date with it; return how many are new, changed, rejected."""
    n_rejected = staging.n_faults
    n_new = n_changed = 0
    if staging.first is not None:
        parameters = about | {
            "now": staging.terms.now,
            "first": staging.first,
            "last": staging.last,
            "has_volume": staging.has("volume"),
            "has_adj_close": staging.has("adj_close"),
        }

        def run(name: str) -> int:
            return int(connection.execute(sql("sources", name), parameters).rowcount)

        connection.execute(text("ANALYZE staged_bars (symbol_no, ts, line)"))
        n_rejected += run("judge_bars") + run("reject_duplicate_bars")
        n_changed = run("find_changed_bars")
        if n_changed:
            run("keep_superseded_bars")
            run("correct_bars")
        if staging.has_new_symbols:
            run("add_symbols")
            run("name_new_symbols")
        n_new = run("add_bars")
    return n_new, n_changed, n_rejected


@dataclass(frozen=True, slots=True)
class _Terms:
    """What the caller says about the rows, each part checked; None where nothing is said."""

    timeframe: str | None
    exchange: str | None
    asset_class: str | None
    timezone: str | None
    now: datetime

    @classmethod
    def checked(
        cls, timeframe: str | None, exchange: str | None, asset_class: str | None, timezone: str | None, now: datetime
    ) -> _Terms:
        if timeframe is not None and timeframe not in TIMEFRAMES:
            raise SourceError(f"There is no timeframe {timeframe!r}. Use one of {', '.join(TIMEFRAMES)}.")
        if asset_class is not None and asset_class not in _USUAL_EXCHANGE:
            raise SourceError(f"There is no asset class {asset_class!r}. Use one of {', '.join(_USUAL_EXCHANGE)}.")
        if timezone is not None:
            require_timezone(timezone)
        return cls(timeframe, exchange_named(exchange) if exchange else None, asset_class, timezone, now)

    @property
    def new_asset_class(self) -> str:
        """What a new symbol is."""
        return self.asset_class or _USUAL_ASSET_CLASS.get(self.exchange or "", "equity")

    @property
    def new_exchange(self) -> str:
        """Where a new symbol trades."""
        return self.exchange or _USUAL_EXCHANGE[self.new_asset_class]


@dataclass(frozen=True, slots=True)
class _Symbol:
    number: int
    ticker: str
    symbol_id: int | None
    asset_class: str
    exchange: str
    timezone: str


class _Staging:
    """Fills the temporary tables batch by batch and remembers what the steps after it need."""

    def __init__(self, connection: Connection, terms: _Terms) -> None:
        self.connection = connection
        self.terms = terms
        self.timeframe = terms.timeframe
        self.n_read = self.n_faults = self.n_unreadable_ts = 0
        self.first: datetime | None = None
        self.last: datetime | None = None
        self.columns: set[str] = set()
        self.symbols: dict[str, _Symbol] = {}
        self.known = {
            row.ticker: row
            for row in connection.execute(
                text("SELECT ticker, id, asset_class, exchange, timezone FROM market.symbols")
            )
        }

    def has(self, column: str) -> bool:
        """Whether the source has that column at all."""
        return column in self.columns

    @property
    def has_new_symbols(self) -> bool:
        """Whether a symbol is not in market.symbols yet."""
        return any(symbol.symbol_id is None for symbol in self.symbols.values())

    def take(self, batch: Batch) -> None:
        """Stage the rows of a batch that can be read, and note those that cannot."""
        import numpy as np

        table = batch.table
        self.columns |= set(table.column_names)
        faults = Faults(table)
        by_number, numbers = self._symbols_of(table.column("symbol"), faults)
        moments = read_moments(table.column("ts"))
        faults.add(moments.missing, "ts is missing")
        faults.add(moments.unreadable, "ts is no date or time")
        self.n_unreadable_ts += int(np.count_nonzero(moments.unreadable))
        values = {}
        for name in (*_PRICES, "volume", "adj_close"):
            if name in table.column_names:
                values[name], unreadable = read_numbers(table.column(name))
                faults.add(unreadable, f"{name} is no number")
            else:
                values[name] = np.full(table.num_rows, np.nan)
        known_at = self._known_at(table, faults)
        self._settle_timeframe(moments)
        ts, ends_at = self._times(moments, by_number, numbers, faults)
        self.n_read += table.num_rows + len(batch.faults)
        self.n_faults += file_faults(self.connection, [*batch.faults, *faults.rows()])
        good = faults.none
        if good.any():
            columns = {"line": table.column("line").to_numpy(), "symbol_no": numbers, "ts": ts, "ends_at": ends_at}
            columns |= {"known_at": known_at} | values
            copy_arrays(self.connection, "staged_bars", {name: array[good] for name, array in columns.items()})
            self._widen(ts[good])

    def finish(self, where: str) -> None:
        """Stage the symbols. Raises SourceError where no row at all says when it was."""
        if self.n_read and self.n_unreadable_ts == self.n_read:
            raise SourceError(
                f"No row of {where} has a date or time that can be read. Write them as 2017-06-30 or "
                "2017-06-30T14:30:00+00:00."
            )
        copy_rows(
            self.connection,
            "staged_symbols",
            ("symbol_no", "ticker", "symbol_id", "asset_class", "exchange", "timezone"),
            (
                (each.number, each.ticker, each.symbol_id, each.asset_class, each.exchange, each.timezone)
                for each in self.symbols.values()
            ),
        )

    def _widen(self, ts: NDArray[np.datetime64]) -> None:
        first, last = (moment.item().replace(tzinfo=UTC) for moment in (ts.min(), ts.max()))
        self.first = min(first, self.first or first)
        self.last = max(last, self.last or last)

    def _symbols_of(self, column: Any, faults: Faults) -> tuple[dict[int, _Symbol], NDArray[np.int32]]:  # noqa: ANN401
        """Return the symbols of a batch by number, and each row's number (0 where it has no symbol)."""
        import numpy as np
        import pyarrow.compute as pc

        encoded = pc.dictionary_encode(read_text(column)).combine_chunks()
        symbols = [self._symbol(ticker) for ticker in encoded.dictionary.to_pylist()]
        codes = pc.fill_null(encoded.indices, len(symbols)).to_numpy(zero_copy_only=False)
        numbers = np.array([*(symbol.number for symbol in symbols), 0], dtype=np.int32)[codes]
        faults.add(numbers == 0, "symbol is missing")
        return {symbol.number: symbol for symbol in symbols}, numbers

    def _symbol(self, ticker: str) -> _Symbol:
        if ticker in self.symbols:
            return self.symbols[ticker]
        number, known, terms = len(self.symbols) + 1, self.known.get(ticker), self.terms
        if known is None:
            exchange = terms.new_exchange
            symbol = _Symbol(number, ticker, None, terms.new_asset_class, exchange, exchange_timezone(exchange))
        else:
            for what, said, held in (
                ("exchange", terms.exchange, known.exchange),
                ("asset class", terms.asset_class, known.asset_class),
            ):
                if said is not None and said != held:
                    raise SourceError(
                        f"{ticker} is in the warehouse with {what} {held}, not {said}. "
                        "Leave the option out, or ingest the others of the file apart.",
                        symbol=ticker,
                    )
            symbol = _Symbol(number, ticker, known.id, known.asset_class, known.exchange, known.timezone)
        self.symbols[ticker] = symbol
        return symbol

    def _known_at(self, table: Any, faults: Faults) -> NDArray[np.datetime64]:  # noqa: ANN401
        """Return known_at in UTC, NaT where the source does not give it."""
        import numpy as np

        if "known_at" not in table.column_names:
            return np.full(table.num_rows, np.datetime64("NaT"), dtype="datetime64[us]")
        moments = read_moments(table.column("known_at"))
        faults.add(moments.unreadable | moments.dated, "known_at is no time")
        return self._utc(moments, "known_at", faults)

    def _settle_timeframe(self, moments: Moments) -> None:
        """Tell `d1` from dates, once for the whole source; refuse times that leave it open, and dates without times."""
        import numpy as np

        present = ~np.isnat(moments.values)
        midnight = moments.values == moments.values.astype("datetime64[D]")
        if self.terms.timeframe is None:
            if not midnight[present].all():
                raise SourceError(
                    "The rows have a time of day, so their timeframe must be said: --timeframe h1, for example."
                )
            self.timeframe = "d1"
        elif self.timeframe != "d1" and present.any() and moments.dated[present].all():
            raise SourceError(
                f"Bars of {self.timeframe} need the time at which they open, and the rows have dates only. "
                "Map another column (--map ts=NAME), or leave --timeframe out for daily bars."
            )

    def _times(
        self, moments: Moments, symbols: dict[int, _Symbol], numbers: NDArray[np.int32], faults: Faults
    ) -> tuple[NDArray[np.datetime64], NDArray[np.datetime64]]:
        """Return when each bar opens and when it ends, UTC."""
        import numpy as np

        if self.timeframe != "d1":
            ts = self._utc(moments, "ts", faults)
            days = ts.astype("datetime64[D]")
            faults.add(days < np.datetime64(EARLIEST), f"ts is before {EARLIEST.year}")
        else:
            ts = days = None
        ends_at = np.full(len(numbers), np.datetime64("NaT"), dtype="datetime64[us]")
        opens = ends_at.copy()
        for exchange in {symbol.exchange for symbol in symbols.values()}:
            mine = np.isin(numbers, [number for number, symbol in symbols.items() if symbol.exchange == exchange])
            if ts is None:
                opens[mine], ends_at[mine] = self._sessions(exchange, moments, mine, faults)
            else:
                self._extend(exchange, days[mine & faults.none])
        if ts is None:
            return opens, ends_at
        return ts, ts + np.timedelta64(TIMEFRAMES[self.timeframe or ""], "us")

    def _sessions(
        self, exchange: str, moments: Moments, mine: NDArray[np.bool_], faults: Faults
    ) -> tuple[NDArray[np.datetime64], NDArray[np.datetime64]]:
        """Return open and close of the session that each daily bar of `mine` belongs to."""
        import numpy as np

        days = moments.values.astype("datetime64[D]")
        # Midnight UTC is how many programs write a date; any other moment with an offset has a local day
        elsewhere = moments.aware & (days != moments.values)
        if elsewhere.any():
            days[elsewhere] = local_days(moments.values[elsewhere], exchange_timezone(exchange))
        faults.add(mine & (days < np.datetime64(EARLIEST)), f"ts is before {EARLIEST.year}")
        faults.add(mine & (days > np.datetime64(self.terms.now.date()) + 1), "the bar is in the future")
        readable = days[mine & faults.none]
        n_mine = int(np.count_nonzero(mine))
        nothing = np.full(n_mine, np.datetime64("NaT"), dtype="datetime64[us]")
        if not len(readable):
            return nothing, nothing
        self._extend(exchange, readable)
        first, last = readable.min().item(), readable.max().item()
        sessions = read_sessions(self.connection, exchange, first, last)
        at = sessions.positions(days[mine])
        closed = np.zeros(len(days), dtype=np.bool_)
        closed[mine] = at < 0
        faults.add(closed, f"{exchange} has no session on that day")
        if not len(sessions.days):
            return nothing, nothing
        return np.where(at < 0, nothing, sessions.opens[at]), np.where(at < 0, nothing, sessions.closes[at])

    def _extend(self, exchange: str, days: NDArray[np.datetime64]) -> None:
        today: date = clock.now().date()
        oldest = min(days.min().item(), today) if len(days) else today
        extend_sessions(self.connection, exchange, oldest, clock.now())

    def _utc(self, moments: Moments, name: str, faults: Faults) -> NDArray[np.datetime64]:
        """Return the moments in UTC; those that the wall clock skips or repeats are faults."""
        import numpy as np

        naive = ~moments.aware & ~np.isnat(moments.values)
        if not naive.any():
            return moments.values
        if self.terms.timezone is None:
            raise SourceError(
                f"The times in {name} have no offset, so their timezone must be said: --timezone America/New_York, "
                "or UTC, for example."
            )
        utc = moments.values.copy()
        skipped, twice = np.zeros((2, len(utc)), dtype=np.bool_)
        utc[naive], skipped[naive], twice[naive] = localize(moments.values[naive], self.terms.timezone)
        faults.add(skipped, f"{name} does not exist: clocks go forward then")
        faults.add(twice, f"{name} happens twice: clocks go back then, and it has no offset")
        return utc
