"""What there is to forecast from: the newest feature row of each symbol that is asked for, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row

from mlops.forecasting.gate import symbols_in_quarantine
from mlops.forecasting.serving import Serving
from mlops.warehouse import sql
from mlops.warehouse.timeframes import read_timeframe

MAXIMUM_SESSIONS_BEHIND = 5
"""A symbol whose newest bar is further behind its exchange is not forecast: delisted, or its source has dried up."""


class Refusal(StrEnum):
    """Why a symbol is not forecast, as `ml.refusals` has it."""

    HISTORY = "history"
    INCOMPLETE = "incomplete"
    STALE = "stale"
    QUARANTINED = "quarantined"
    GATE = "gate"


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest rows that may be forecast from, by symbol; and the symbols that may not, with the reason."""

    rows: list[Row[Any]]
    refused: Mapping[int, Refusal]


def read_newest(connection: Connection, serving: Serving, as_of: datetime) -> Newest:
    """Return what `serving` is asked as of `as_of` (UTC): the newest row of each symbol of its universe.

    Raises GateClosedError where the newest checks failed for more than a few symbols.
    """
    timeframe = read_timeframe(connection, serving.timeframe)
    quarantined = symbols_in_quarantine(connection, serving.timeframe, as_of)
    asked = asked_symbols(connection, serving, as_of)
    every_row = connection.execute(
        sql("forecasting", "newest_rows"),
        {
            "symbol_ids": asked,
            "feature_set": serving.feature_set,
            "timeframe": serving.timeframe,
            "as_of": as_of,
            "horizons": list(serving.horizons),
            "bar_length": timeframe.bar_length,
            "calendar": timeframe.calendar,
        },
    ).all()
    without_row = sorted(set(asked) - {row.symbol_id for row in every_row})
    refused = dict.fromkeys(with_bars(connection, without_row, serving.timeframe, as_of), Refusal.HISTORY)
    rows = []
    for row in every_row:
        if row.symbol_id in quarantined:
            refused[row.symbol_id] = Refusal.QUARANTINED
        elif row.sessions_behind is not None and row.sessions_behind > MAXIMUM_SESSIONS_BEHIND:
            refused[row.symbol_id] = Refusal.STALE
        else:
            rows.append(row)
    return Newest(rows, refused)


def asked_symbols(connection: Connection, serving: Serving, as_of: datetime) -> list[int]:
    """Return the symbols of the version's universe as of `as_of` (UTC), in ascending order."""
    asked = {"universe": serving.universe, "timeframe": serving.timeframe, "as_of": as_of}
    return list(connection.execute(sql("forecasting", "universe"), asked).scalars())


def with_bars(connection: Connection, symbol_ids: list[int], timeframe: str, as_of: datetime) -> list[int]:
    """Return those of `symbol_ids` that have a bar of `timeframe`: the others are nothing that could be forecast."""
    if not symbol_ids:
        return []
    asked = {"symbol_ids": symbol_ids, "timeframe": timeframe, "as_of": as_of}
    return list(connection.execute(sql("forecasting", "with_bars"), asked).scalars())
