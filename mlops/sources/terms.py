"""Check what the caller states about a file of bars, and work out what holds for each of its symbols."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mlops import clock
from mlops.exceptions import SourceError
from mlops.sources.calendars import exchange_named, exchange_timezone
from mlops.sources.values import require_timezone

_USUAL_EXCHANGE = {"equity": "XNYS", "index": "XNYS", "fx": "24/5", "crypto": "24/7"}
_USUAL_ASSET_CLASS = {"24/5": "fx", "24/7": "crypto"}


def require_terms(*, exchange: str | None, asset_class: str | None, timezone: str | None) -> None:
    """Return if this can be said of a file of bars. Raises SourceError where one names nothing that there is."""
    Terms.checked(
        timeframe=None, exchange=exchange, asset_class=asset_class, timezone=timezone, now=clock.now(), waits_until=None
    )


@dataclass(frozen=True, slots=True)
class SymbolTerms:
    """A symbol of the file: `number` is its id, or negative while it has none."""

    number: int
    ticker: str
    symbol_id: int | None
    asset_class: str
    exchange: str
    timezone: str


@dataclass(frozen=True, slots=True)
class Terms:
    """What the caller says about the rows, each part checked; None where nothing is said.

    `waits_until` is `now` where rows that are not known yet are rejected, and later where they wait.
    """

    timeframe: str | None
    exchange: str | None
    asset_class: str | None
    timezone: str | None
    now: datetime
    waits_until: datetime

    @classmethod
    def checked(
        cls,
        *,
        timeframe: str | None,
        exchange: str | None,
        asset_class: str | None,
        timezone: str | None,
        now: datetime,
        waits_until: datetime | None,
    ) -> Terms:
        """Return the terms. Raises SourceError where one of them names nothing that there is."""
        if asset_class is not None and asset_class not in _USUAL_EXCHANGE:
            raise SourceError(f"There is no asset class {asset_class!r}. Use one of {', '.join(_USUAL_EXCHANGE)}.")
        if timezone is not None:
            require_timezone(timezone)
        known_exchange = exchange_named(exchange) if exchange else None
        return cls(timeframe, known_exchange, asset_class, timezone, now, max(now, waits_until or now))

    @property
    def new_asset_class(self) -> str:
        """What a new symbol is."""
        return self.asset_class or _USUAL_ASSET_CLASS.get(self.exchange or "", "equity")

    @property
    def new_exchange(self) -> str:
        """Where a new symbol trades."""
        return self.exchange or _USUAL_EXCHANGE[self.new_asset_class]

    def symbol(self, ticker: str, known: Any | None, *, number_if_new: int) -> SymbolTerms:  # noqa: ANN401 -- a row
        """Return what holds for a symbol: `known` is its row in market.symbols, None for a new one.

        Raises SourceError where the caller says otherwise than the warehouse.
        """
        if known is None:
            exchange = self.new_exchange
            return SymbolTerms(number_if_new, ticker, None, self.new_asset_class, exchange, exchange_timezone(exchange))
        for what, said, held in (
            ("exchange", self.exchange, known.exchange),
            ("asset class", self.asset_class, known.asset_class),
        ):
            if said is not None and said != held:
                raise SourceError(
                    f"{ticker} is in the warehouse with {what} {held}, not {said}. "
                    "Leave the option out, or ingest the others of the file apart.",
                    symbol=ticker,
                )
        return SymbolTerms(known.id, ticker, known.id, known.asset_class, known.exchange, known.timezone)
