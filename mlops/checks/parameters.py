"""What the SQL of an expectation may name, and how a value gets into it.

Great Expectations takes a query as text and binds nothing, so the values go in as literals. Each is of a type that
cannot carry SQL: a UUID, a moment, a number, or a word that this module knows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from uuid import UUID

from mlops.domain import TIMEFRAMES
from mlops.exceptions import ChecksError
from mlops.warehouse.feature_sets import FeatureSet

REBUILDS_PER_PART = 40
"""How many rows of each part of a training set are rebuilt from history cut off at their as-of."""

_WORD = re.compile(r"[a-z_][a-z0-9_]*")
_NAME = re.compile(r"(?<![:\w]):([a-z_]+)\b")


@dataclass(frozen=True)
class Parameters:
    """The values of one run of the checks. All moments are aware; `as_of` is the last one that may be known.

    `window_start`, `month_start` and `year_start` are the opens of sessions: of the first one checked, of the 30th and
    of the 250th before `as_of`. `feature_set` is the one that is looked at, where one is.
    """

    as_of: datetime
    timeframe: str
    run_id: UUID
    window_start: datetime
    month_start: datetime
    year_start: datetime
    rebuilds_per_part: int = REBUILDS_PER_PART
    feature_set: FeatureSet | None = None

    @cached_property
    def literals(self) -> Mapping[str, str]:
        """The SQL of each value, by its name. Raises ChecksError where a value is not what it has to be."""
        if self.timeframe not in TIMEFRAMES:
            raise ChecksError(f"Timeframe {self.timeframe!r} is none of {', '.join(TIMEFRAMES)}.")
        return {
            "as_of": _moment(self.as_of),
            "window_start": _moment(self.window_start),
            "month_start": _moment(self.month_start),
            "year_start": _moment(self.year_start),
            "timeframe": f"'{self.timeframe}'",
            "run_id": f"'{UUID(str(self.run_id))}'::uuid",
            "rebuilds_per_part": str(int(self.rebuilds_per_part)),
            **({} if self.feature_set is None else _of_feature_set(self.feature_set)),
        }

    def fill(self, query: str, rows: str | None = None) -> str:
        """Return `query` with a value for each `:name`; `:rows` stands for the batch, given as a query.

        Raises ChecksError where it names something that there is not.
        """

        def value(match: re.Match[str]) -> str:
            name = match[1]
            if name == "rows" and rows is not None:
                return f"({rows})"
            if name not in self.literals:
                raise ChecksError(f"The SQL of an expectation names :{name}, which there is not.")
            return self.literals[name]

        return _NAME.sub(value, query).strip().rstrip(";")


def _of_feature_set(feature_set: FeatureSet) -> dict[str, str]:
    columns = [_word(name) for name in feature_set.names]
    return {
        "feature_set": f"'{_word(feature_set.name)}'",
        "feature_relation": ".".join(_word(part) for part in feature_set.relation.split(".")),
        "bars_before_first_row": str(int(feature_set.bars_before_first_row)),
        "feature_columns": ", ".join(columns),
        "feature_names": ", ".join(f"'{name}'" for name in columns),
        "feature_counts": ", ".join(f"count({name})" for name in columns),
    }


def _word(name: str) -> str:
    if not _WORD.fullmatch(name):
        raise ChecksError(
            f"A feature set has the name {name!r} in it. Use small letters, digits and underscores, so that its checks "
            "can name it."
        )
    return name


def _moment(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise ChecksError(f"{moment} has no timezone, so it is no moment. Give it one.")
    return f"'{moment.astimezone(UTC).isoformat()}'::timestamptz"
