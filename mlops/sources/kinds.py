"""The kinds of rows beside bars, such as earnings: each is one module of this package that binds a `Kind` to `KIND`.

Being found is all that it takes: `forecastle ingest NAME FILE` and files `NAME_*` in the inbox are there by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Protocol

import mlops.sources
from mlops.sources.ingested import Ingested
from mlops.sources.layout import Layout, Source
from mlops.warehouse import Warehouse


class Ingest(Protocol):
    """Takes the rows of a source into the warehouse."""

    def __call__(
        self, warehouse: Warehouse, source: Source, *, now: datetime | None = None, waits_until: datetime | None = None
    ) -> Ingested:
        """Return what became of the rows of `source`.

        A row that is known after `now` (UTC; the moment of the call where it is None) is rejected, or left to wait
        where it is known by `waits_until` (see `Ingested`). Raises SourceError where the source as a whole cannot be
        used; then nothing is written.
        """


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of rows.

    Attributes:
        layout: what a row is made of; `layout.kind` is its name.
        help: what `forecastle ingest --help` says of it, a sentence.
        ingest: how rows of it are taken in.
    """

    layout: Layout
    help: str
    ingest: Ingest


@cache
def kinds() -> Mapping[str, Kind]:
    """Return the kinds by their names, in alphabetical order."""
    modules = (import_module(f"mlops.sources.{each.name}") for each in iter_modules(mlops.sources.__path__))
    found: list[Kind] = [module.KIND for module in modules if hasattr(module, "KIND")]
    return {kind.layout.kind: kind for kind in sorted(found, key=lambda kind: kind.layout.kind)}
