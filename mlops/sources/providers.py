"""Where bars come from when not from a file: each is one module of this package that binds a `Provider` to `PROVIDER`.

Being found is all that it takes: `forecastle ingest bars --source NAME` takes bars from it, and FORECASTLE_FETCH names
those from which the daily job does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

import mlops.sources
from mlops.domain import DAILY
from mlops.sources.layout import Source


@dataclass(frozen=True, slots=True)
class Asked:
    """Which bars are wanted: those with `since <= date <= until`; None: as far as there are any."""

    symbols: Sequence[str] = ()
    since: date | None = None
    until: date | None = None
    timeframe: str = DAILY


@dataclass(frozen=True, slots=True)
class Provider:
    """Somebody who has bars.

    Attributes:
        name: what it is called on the command line and in FORECASTLE_FETCH.
        source: returns what is asked for as a source, whose `batches` fetch it. It may raise SourceError.
        by_symbol: whether it is asked for symbols, which have to be named then, and the first day with them; else it is
            taken with all that it has.
        has: whether it has bars of a timeframe.
        exchange: where its symbols trade, for those that are new; None: by their asset class.
        asset_class: what they are; None: by the exchange.
    """

    name: str
    source: Callable[[Asked], Source]
    by_symbol: bool = True
    has: Callable[[str], bool] = lambda _: True
    exchange: str | None = None
    asset_class: str | None = None


@cache
def providers() -> Mapping[str, Provider]:
    """Return the providers by their names, in alphabetical order."""
    modules = (import_module(f"mlops.sources.{each.name}") for each in iter_modules(mlops.sources.__path__))
    found: list[Provider] = [module.PROVIDER for module in modules if hasattr(module, "PROVIDER")]
    return {provider.name: provider for provider in sorted(found, key=lambda provider: provider.name)}
