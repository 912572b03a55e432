"""The words of the domain: plain types that the stages hand to each other, importing nothing of ours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

TIMEFRAMES: dict[str, timedelta] = {
    "m1": timedelta(minutes=1),
    "m5": timedelta(minutes=5),
    "m15": timedelta(minutes=15),
    "m30": timedelta(minutes=30),
    "h1": timedelta(hours=1),
    "h4": timedelta(hours=4),
    "d1": timedelta(days=1),
}
"""Name of each timeframe and the length of its bars. A `d1` bar is a session of the symbol's exchange."""

DAILY_SUITES: tuple[str, ...] = ("market", "features", "labels", "freshness")
"""The suites of expectations that must hold each day before a forecast is made, in the order of the data."""

HORIZONS: tuple[int, ...] = (1, 5, 10, 20)
"""How many bars ahead there are labels for."""

QUANTILES: tuple[float, ...] = (0.1, 0.5, 0.9)
"""The quantiles of the forward return that a forecast gives; the outer two make the 80 % band."""


class Direction(StrEnum):
    """Which way a forward return goes, by a threshold per timeframe and horizon; in the order of a model's output."""

    BULLISH = "BULLISH"
    NEUTRAL = "NEUTRAL"
    BEARISH = "BEARISH"


class Role(StrEnum):
    """In whose name a transaction runs."""

    OWNER = "forecastle_owner"
    DBT = "forecastle_dbt"
    WORKER = "forecastle_worker"
    APPROVER = "forecastle_approver"
    ANALYST = "forecastle_analyst"


@dataclass(frozen=True, slots=True)
class IngestCounts:
    """What became of the rows of one file: `read` is always the sum of the other four."""

    read: int
    new: int
    changed: int
    unchanged: int
    rejected: int


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """Names one version of one model."""

    model: str
    version: int

    def __str__(self) -> str:
        """Return the name as people write it: `stocks_d1 v3`."""
        return f"{self.model} v{self.version}"
