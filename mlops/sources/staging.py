"""Read bars, convert their times to UTC, write them into temporary tables, and reject those that cannot be read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, text

from mlops import clock
from mlops.domain import DAILY, Calendar, Timeframe
from mlops.exceptions import SourceError
from mlops.sources.calendars import EARLIEST, exchange_timezone, extend_sessions, read_sessions
from mlops.sources.layout import Batch
from mlops.sources.rejections import Rejections, save_rejections
from mlops.sources.terms import SymbolTerms, Terms
from mlops.sources.values import Moments, local_days, localize, name_error, read_moments, read_numbers, read_text
from mlops.warehouse.copying import copy_arrays, copy_rows
from mlops.warehouse.timeframes import read_timeframe

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PRICES = ("open", "high", "low", "close")
MOST_SYMBOLS = 1_000_000
"""The most symbols that a file may name, since each is kept in memory. The world has some hundred thousand."""


class BarStaging:
    """Fills the temporary tables batch by batch and remembers what the steps after it need."""

    def __init__(self, connection: Connection, terms: Terms) -> None:
        self.connection = connection
        self.terms = terms
        # Found from the first rows where it is not given
        self.timeframe = None if terms.timeframe is None else read_timeframe(connection, terms.timeframe)
        self.n_read = self.n_rejected = self.n_unreadable_ts = 0
        self.first: datetime | None = None
        self.last: datetime | None = None
        self.columns: set[str] = set()
        self.symbols: dict[str, SymbolTerms] = {}
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
    def timeframe_name(self) -> str | None:
        """The name of the timeframe; None until it is given or found from the rows."""
        return self.timeframe.name if self.timeframe else None

    @property
    def has_known_symbols(self) -> bool:
        """Whether a symbol is in market.symbols already, and so may have bars."""
        return any(symbol.symbol_id is not None for symbol in self.symbols.values())

    @property
    def has_new_symbols(self) -> bool:
        """Whether a symbol is not in market.symbols yet."""
        return any(symbol.symbol_id is None for symbol in self.symbols.values())

    def take(self, batch: Batch) -> None:
        """Stage the rows of a batch that can be read, and note those that cannot."""
        import numpy as np

        table = batch.table
        self.columns |= set(table.column_names)
        rejections = Rejections(table)
        by_number, numbers = self._symbols_of(table.column("symbol"), rejections)
        moments = read_moments(table.column("ts"), "ts")
        rejections.add(moments.missing, "ts is missing")
        rejections.add(moments.unreadable, "ts is no date or time")
        moments = self._plausible(moments, "ts", rejections)
        self.n_unreadable_ts += int(np.count_nonzero(moments.unreadable))
        values = {}
        for name in (*_PRICES, "volume", "adj_close"):
            if name in table.column_names:
                values[name], unreadable = read_numbers(table.column(name))
                rejections.add(unreadable, f"{name} is no number")
            else:
                values[name] = np.full(table.num_rows, np.nan)
        known_at = self._known_at(table, rejections)
        timeframe = self._settled_timeframe(moments)
        ts, ends_at = self._times(timeframe, moments, by_number, numbers, rejections)
        self.n_read += table.num_rows + len(batch.rejections)
        self.n_rejected += save_rejections(self.connection, [*batch.rejections, *rejections.rows()])
        good = rejections.accepted
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

    def _symbols_of(self, column: Any, rejections: Rejections) -> tuple[dict[int, SymbolTerms], NDArray[np.int64]]:  # noqa: ANN401
        """Return the symbols of a batch by number, and each row's number (0 where it has none that will do)."""
        import numpy as np
        import pyarrow.compute as pc

        encoded = pc.dictionary_encode(read_text(column)).combine_chunks()
        tickers = encoded.dictionary.to_pylist()
        unfit = [name_error(ticker) for ticker in tickers]
        symbols = [self._symbol(ticker) for ticker, why in zip(tickers, unfit, strict=True) if why is None]
        by_ticker = {symbol.ticker: symbol.number for symbol in symbols}
        codes = pc.fill_null(encoded.indices, len(tickers)).to_numpy(zero_copy_only=False)
        for why in {*unfit} - {None}:
            rejections.add(np.isin(codes, [code for code, each in enumerate(unfit) if each == why]), f"symbol {why}")
        numbers = np.array([*(by_ticker.get(ticker, 0) for ticker in tickers), 0], dtype=np.int64)[codes]
        rejections.add(numbers == 0, "symbol is missing")
        return {symbol.number: symbol for symbol in symbols}, numbers

    def _symbol(self, ticker: str) -> SymbolTerms:
        if ticker not in self.symbols:
            if len(self.symbols) >= MOST_SYMBOLS:
                raise SourceError(f"The file has more than {MOST_SYMBOLS:,} symbols. Its column symbol holds none.")
            self.symbols[ticker] = self.terms.symbol(
                ticker, self.known.get(ticker), number_if_new=-len(self.symbols) - 1
            )
        return self.symbols[ticker]

    def _known_at(self, table: Any, rejections: Rejections) -> NDArray[np.datetime64]:  # noqa: ANN401
        """Return known_at in UTC, NaT where the source does not give it."""
        import numpy as np

        if "known_at" not in table.column_names:
            return np.full(table.num_rows, np.datetime64("NaT"), dtype="datetime64[us]")
        moments = read_moments(table.column("known_at"), "known_at")
        rejections.add(moments.unreadable | moments.dated, "known_at is no time")
        return self._utc(self._plausible(moments, "known_at", rejections), "known_at", rejections)

    def _plausible(self, moments: Moments, name: str, rejections: Rejections) -> Moments:
        """Reject moments outside of any calendar, whatever the timezone; SQL later rejects what is in the future."""
        import numpy as np

        too_early = moments.values < np.datetime64(EARLIEST)
        too_late = moments.values > np.datetime64(
            (self.terms.waits_until.astimezone(UTC) + timedelta(days=2)).replace(tzinfo=None)
        )
        rejections.add(too_early, f"{name} is before {EARLIEST.year}")
        rejections.add(too_late, "the bar is in the future")
        return replace(moments, values=np.where(too_early | too_late, np.datetime64("NaT"), moments.values))

    def _settled_timeframe(self, moments: Moments) -> Timeframe:
        """Tell that bars are daily from dates, once for the whole source; refuse times that leave it open."""
        import numpy as np

        present = ~np.isnat(moments.values)
        midnight = moments.values == moments.values.astype("datetime64[D]")
        if self.terms.timeframe is None and not midnight[present].all():
            raise SourceError(
                "The rows have a time of day, so their timeframe must be said: --timeframe h1, for example."
            )
        timeframe = self.timeframe or read_timeframe(self.connection, DAILY)
        if timeframe.is_by_clock and present.any() and moments.dated[present].all():
            raise SourceError(
                f"Bars of {timeframe.name} need the time at which they open, and the rows have dates only. "
                "Map another column (--map ts=NAME), or leave --timeframe out for daily bars."
            )
        self.timeframe = timeframe
        return timeframe

    def _times(
        self,
        timeframe: Timeframe,
        moments: Moments,
        symbols: dict[int, SymbolTerms],
        numbers: NDArray[np.int64],
        rejections: Rejections,
    ) -> tuple[NDArray[np.datetime64], NDArray[np.datetime64]]:
        """Return when each bar opens and when it ends, UTC."""
        import numpy as np

        if timeframe.is_by_clock:
            rejections.add(moments.dated, "ts has no time of day")
            ts = self._utc(moments, "ts", rejections)
        else:
            ts = np.full(len(numbers), np.datetime64("NaT"), dtype="datetime64[us]")
        ends_at = np.asarray(ts + np.timedelta64(timeframe.bar_length, "us"), dtype="datetime64[us]")
        for exchange in {symbol.exchange for symbol in symbols.values()}:
            mine = np.isin(numbers, [number for number, symbol in symbols.items() if symbol.exchange == exchange])
            if timeframe.is_by_clock:
                self._extend(exchange, ts[mine & rejections.accepted].astype("datetime64[D]"))
            else:
                ts[mine], ends_at[mine] = self._sessions(timeframe.calendar, exchange, moments, mine, rejections)
        return ts, ends_at

    def _sessions(
        self, rule: Calendar, exchange: str, moments: Moments, mine: NDArray[np.bool_], rejections: Rejections
    ) -> tuple[NDArray[np.datetime64], NDArray[np.datetime64]]:
        """Return open and close of the session, or the week, that each bar of `mine` belongs to by its date."""
        import numpy as np

        days = moments.values.astype("datetime64[D]")
        # Midnight UTC is how many programs write a date; any other moment with an offset has a local day
        timed = (days != moments.values) & ~np.isnat(moments.values)
        elsewhere = timed & moments.aware
        if elsewhere.any():
            days[elsewhere] = local_days(moments.values[elsewhere], exchange_timezone(exchange))
        # A time without one is the exchange's own, unless its timezone is said
        said = timed & ~moments.aware
        if self.terms.timezone is not None and said.any():
            there = moments.values[said]
            utc, _, _ = localize(there, self.terms.timezone)
            # An hour that clocks skip or repeat has its day all the same
            days[said] = local_days(np.where(np.isnat(utc), there, utc), exchange_timezone(exchange))
        readable = days[mine & rejections.accepted]
        n_mine = int(np.count_nonzero(mine))
        nothing = np.full(n_mine, np.datetime64("NaT"), dtype="datetime64[us]")
        if not len(readable):
            return nothing, nothing
        self._extend(exchange, readable)
        first, last = readable.min().item(), readable.max().item()
        sessions = read_sessions(self.connection, rule, exchange, first, last)
        at = sessions.positions(days[mine])
        closed = np.zeros(len(days), dtype=np.bool_)
        closed[mine] = at < 0
        rejections.add(closed, f"{exchange} has no session " + ("in that week" if rule == "week" else "on that day"))
        if not len(sessions.days):
            return nothing, nothing
        return np.where(at < 0, nothing, sessions.opens[at]), np.where(at < 0, nothing, sessions.closes[at])

    def _extend(self, exchange: str, days: NDArray[np.datetime64]) -> None:
        today: date = clock.now().date()
        oldest = min(days.min().item(), today) if len(days) else today
        extend_sessions(self.connection, exchange, oldest, clock.now())

    def _utc(self, moments: Moments, name: str, rejections: Rejections) -> NDArray[np.datetime64]:
        """Return the moments in UTC; those that the wall clock skips or repeats are rejected."""
        import numpy as np

        naive = ~moments.aware & ~np.isnat(moments.values) & rejections.accepted
        if not naive.any():
            return moments.values
        if self.terms.timezone is None and (moments.aware & ~np.isnat(moments.values)).any():
            rejections.add(naive, f"{name} has no offset, as others have, and its timezone was not said")
            return moments.values
        if self.terms.timezone is None:
            raise SourceError(
                f"The times in {name} have no offset, so their timezone must be said: --timezone America/New_York, "
                "or UTC, for example."
            )
        utc = moments.values.copy()
        skipped, twice = np.zeros((2, len(utc)), dtype=np.bool_)
        utc[naive], skipped[naive], twice[naive] = localize(moments.values[naive], self.terms.timezone)
        rejections.add(skipped, f"{name} does not exist: clocks go forward then")
        rejections.add(twice, f"{name} happens twice: clocks go back then, and it has no offset")
        return utc
