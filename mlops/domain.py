"""The words of the domain: plain types that the stages hand to each other, importing nothing of ours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Literal

DAILY = "d1"
"""The timeframe that is meant where none is said."""

DAILY_SUITES: tuple[str, ...] = ("market", "features", "labels", "freshness")
"""The suites of expectations that must hold each day before a forecast is made, in the order of the data."""

QUANTILES: tuple[float, ...] = (0.1, 0.5, 0.9)
"""The quantiles of the forward return that a forecast gives; the outer two make the 80 % band."""


class Direction(StrEnum):
    """Which way a forward return goes, by a threshold per timeframe and horizon; in the order of a model's output."""

    BULLISH = "BULLISH"
    NEUTRAL = "NEUTRAL"
    BEARISH = "BEARISH"


Calendar = Literal["session", "week"]
"""What a trading calendar is made of: the rules of market.calendar."""


@dataclass(frozen=True, slots=True)
class Timeframe:
    """The length of bars, and what is forecast of them: a row of market.timeframes.

    Attributes:
        bar_length: how long a bar lasts at most; a session or a week ends earlier.
        session_rule: `clock`: bars follow each other from the open of a session, and the last ends with it; `session`:
            a bar is a session of its exchange; `week`: a bar is the sessions of a week from Monday to Sunday.
        horizons: how many bars ahead there are labels for, ascending.
        thresholds: for each horizon, beyond which return, as a fraction, a direction is BULLISH or BEARISH.
    """

    name: str
    bar_length: timedelta
    session_rule: Literal["clock", "session", "week"]
    horizons: tuple[int, ...]
    thresholds: tuple[float, ...]

    @property
    def is_by_clock(self) -> bool:
        """Whether its bars have a time of day; those of a session or a week go by their date."""
        return self.session_rule == "clock"

    @property
    def calendar(self) -> Calendar:
        """What its bars are held against: the rule of market.calendar."""
        return "week" if self.session_rule == "week" else "session"

    @property
    def date_unit(self) -> Literal["day", "week"] | None:
        """What bars of several exchanges have in common that count as of one date; None: the moment of their close."""
        return None if self.is_by_clock else "week" if self.session_rule == "week" else "day"


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
