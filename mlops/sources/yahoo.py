"""Yahoo Finance, through the package `yfinance`, an extra of ours (`forecastle[yahoo]`).

Yahoo splits-adjusts open, high, low, close and volume, and gives a close adjusted for dividends, too. Its failures are
told apart, since each asks for something else: the package is missing, the network is, the symbol is unknown, or
Yahoo wants fewer requests. All symbols are fetched before anything is written.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from mlops.domain import DAILY
from mlops.exceptions import (
    SourceError,
    SourceOfflineError,
    SourcePackageMissingError,
    SourceThrottledError,
    UnknownTickerError,
)
from mlops.sources.layout import BARS, Batch, Layout
from mlops.sources.providers import Asked, Provider

if TYPE_CHECKING:
    import pandas as pd

_INTERVALS = {"m1": "1m", "m5": "5m", "m15": "15m", "m30": "30m", "h1": "1h", "h4": "4h", "d1": "1d", "w1": "1wk"}
_DATED = ("d1", "w1")
"""Yahoo gives these at midnight of the exchange's day."""
_COLUMNS = {
    "Open": "open",
    "High": "high",
    "Low": "low",
    "Close": "close",
    "Volume": "volume",
    "Adj Close": "adj_close",
}


@dataclass(frozen=True, slots=True)
class YahooSource:
    """Bars of some symbols with `since <= date <= until`, fetched when they are asked for."""

    symbols: Sequence[str]
    since: date
    until: date | None = None
    timeframe: str = DAILY
    timeout_s: float = 30.0
    sha256: str | None = field(default=None, init=False)

    @property
    def name(self) -> str:
        """What stands in market.ingests."""
        return f"yahoo {','.join(self.symbols)} from {self.since}" + (f" to {self.until}" if self.until else "")

    @staticmethod
    def has(timeframe: str) -> bool:
        """Whether Yahoo Finance gives bars of `timeframe`."""
        return timeframe in _INTERVALS

    def batches(self, layout: Layout = BARS) -> Iterator[Batch]:
        """Yield one batch a symbol.

        Raises SourcePackageMissingError, SourceOfflineError, UnknownTickerError, SourceThrottledError, or SourceError
        for an answer that cannot be understood.
        """
        import numpy as np
        import pyarrow as pa

        if not self.has(self.timeframe):
            raise SourceError(
                f"Yahoo Finance has no bars of {self.timeframe}; it has {', '.join(_INTERVALS)}.",
                timeframe=self.timeframe,
            )
        line = 1
        for symbol, frame in [(symbol, self._fetch(symbol)) for symbol in self.symbols]:
            n_rows = len(frame)
            columns: dict[str, Any] = {
                ours: frame[theirs].to_numpy(dtype=np.float64) for theirs, ours in _COLUMNS.items() if theirs in frame
            }
            columns["symbol"] = pa.repeat(symbol, n_rows)
            columns["line"] = np.arange(line, line + n_rows)
            columns["ts"] = self._moments(frame)
            yield Batch(pa.table(columns))
            line += n_rows

    def _moments(self, frame: pd.DataFrame) -> Any:  # noqa: ANN401 -- pyarrow has no types
        import pandas as pd
        import pyarrow as pa

        index = pd.DatetimeIndex(frame.index)
        if self.timeframe in _DATED:
            return pa.array(index.date, type=pa.date32())  # midnight of the exchange's day
        return pa.array(index.tz_convert("UTC").tz_localize(None).to_numpy(), type=pa.timestamp("us")).cast(
            pa.timestamp("us", "UTC")
        )

    def _fetch(self, symbol: str) -> pd.DataFrame:
        if find_spec("yfinance") is None:
            raise SourcePackageMissingError(
                "Yahoo Finance is read with the package yfinance, which is not installed. "
                "Install it: pip install 'forecastle[yahoo]'.",
                package="yfinance",
                extra="yahoo",
            )
        import yfinance
        from yfinance import exceptions

        try:
            with _errors_raised(yfinance):
                frame: pd.DataFrame = yfinance.Ticker(symbol).history(
                    start=self.since,
                    end=self.until + timedelta(days=1) if self.until else None,
                    interval=_INTERVALS[self.timeframe],
                    auto_adjust=False,
                    actions=False,
                    timeout=self.timeout_s,
                )
        except exceptions.YFRateLimitError as error:
            raise SourceThrottledError(
                "Yahoo Finance refuses more requests for now. Wait some minutes and run the command again, with fewer "
                "symbols if it goes on.",
                symbol=symbol,
            ) from error
        except exceptions.YFTickerMissingError as error:
            raise UnknownTickerError(
                f"Yahoo Finance has no prices for {symbol} since {self.since}: {error.rationale}. "
                "Check the symbol and the dates.",
                symbol=symbol,
            ) from error
        except OSError as error:
            raise SourceOfflineError(
                f"Yahoo Finance does not answer ({str(error).split('. See ')[0]}). Check the network and run it again.",
                symbol=symbol,
            ) from error
        except Exception as error:
            raise SourceError(
                f"Yahoo Finance's answer for {symbol} cannot be understood ({type(error).__name__}: {error}). "
                "Run it again later, or update yfinance.",
                symbol=symbol,
            ) from error
        if frame.empty:
            raise UnknownTickerError(
                f"Yahoo Finance has no prices for {symbol} since {self.since}. Check the symbol and the dates.",
                symbol=symbol,
            )
        return frame


def _source(asked: Asked) -> YahooSource:
    if asked.since is None:
        raise SourceError("Yahoo Finance is asked for bars from some day on. Name the first one.")
    return YahooSource(asked.symbols, since=asked.since, until=asked.until, timeframe=asked.timeframe)


PROVIDER = Provider("yahoo", _source, has=YahooSource.has)


@contextmanager
def _errors_raised(yfinance: Any) -> Iterator[None]:  # noqa: ANN401 -- a module
    """Let yfinance raise what went wrong, which it otherwise logs before it returns nothing."""
    debug, logger = yfinance.config.debug, logging.getLogger("yfinance")
    hidden, disabled = debug.hide_exceptions, logger.disabled
    debug.hide_exceptions, logger.disabled = False, True
    try:
        yield
    finally:
        debug.hide_exceptions, logger.disabled = hidden, disabled
