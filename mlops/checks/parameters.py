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

from mlops.domain import Timeframe
from mlops.exceptions import ChecksError
from mlops.warehouse.feature_sets import FeatureSet
from mlops.warehouse.label_sets import LabelSet

REBUILDS_PER_PART = 40
"""How many rows of each part of a training set are rebuilt from history cut off at their as-of."""

_WORD = re.compile(r"[a-z_][a-z0-9_]*")
_NAME = re.compile(r"(?<![:\w]):([a-z_]+)\b")


@dataclass(frozen=True)
class Parameters:
    """The values of one run of the checks. All moments are aware; `as_of` is the last one that may be known.

    `window_start`, `month_start` and `year_start` are the opens of sessions (of weekly bars, of weeks): of the first
    one checked, of the 30th and of the 250th before `as_of`. `feature_set` and `label_set` are those that are looked
    at, where any are, and `horizons` those of the label set that are asked for: None for all.
    """

    as_of: datetime
    timeframe: Timeframe
    run_id: UUID
    window_start: datetime
    month_start: datetime
    year_start: datetime
    rebuilds_per_part: int = REBUILDS_PER_PART
    feature_set: FeatureSet | None = None
    label_set: LabelSet | None = None
    horizons: tuple[int, ...] | None = None

    @cached_property
    def literals(self) -> Mapping[str, str]:
        """The SQL of each value, by its name. Raises ChecksError where a value is not what it has to be."""
        unit, seconds = self.timeframe.date_unit, self.timeframe.bar_length.total_seconds()
        return {
            "as_of": _moment(self.as_of),
            "window_start": _moment(self.window_start),
            "month_start": _moment(self.month_start),
            "year_start": _moment(self.year_start),
            "timeframe": f"'{_word(self.timeframe.name)}'",
            "session_rule": f"'{self.timeframe.session_rule}'",
            "calendar": f"'{self.timeframe.calendar}'",
            "date_unit": "NULL::text" if unit is None else f"'{unit}'",
            "bar_length": f"INTERVAL '{seconds} seconds'",
            "longest_horizon": str(int(max(self.timeframe.horizons))),
            "run_id": f"'{UUID(str(self.run_id))}'::uuid",
            "rebuilds_per_part": str(int(self.rebuilds_per_part)),
            **({} if self.feature_set is None else _of_feature_set(self.feature_set)),
            **({} if self.label_set is None else _of_label_set(self.label_set, self.horizons)),
        }

    def fill(self, query: str, **of_the_batch: str) -> str:
        """Return `query` with a value for each `:name`: one of `of_the_batch`, which are SQL, or one of `literals`.

        Raises ChecksError where it names something that there is not.
        """

        def value(match: re.Match[str]) -> str:
            name = match[1]
            if name in of_the_batch:
                return of_the_batch[name]
            if name not in self.literals:
                raise ChecksError(f"The SQL of an expectation names :{name}, which there is not.")
            return self.literals[name]

        return _NAME.sub(value, query).strip().rstrip(";")


def _of_feature_set(feature_set: FeatureSet) -> dict[str, str]:
    columns = [_word(name) for name in feature_set.names]
    return {
        "feature_set": f"'{_word(feature_set.name)}'",
        "feature_relation": _relation(feature_set.relation),
        "bars_before_first_row": str(int(feature_set.bars_before_first_row)),
        "feature_columns": ", ".join(columns),
        "feature_names": ", ".join(f"'{name}'" for name in columns),
        "feature_counts": ", ".join(f"count({name})" for name in columns),
        "feature_sum": " + ".join(columns),
    }


def _of_label_set(label_set: LabelSet, horizons: tuple[int, ...] | None) -> dict[str, str]:
    """Return what names the labels of `horizons` in a query that calls their table `label`, and the bars ahead."""
    places = [1 + place for place in label_set.places(label_set.horizons if horizons is None else horizons)]
    returns = [f"label.forward_returns[{place}]" for place in places]
    return {
        **_of_whole_series(label_set),
        "label_set": f"'{_word(label_set.name)}'",
        "label_relation": _relation(label_set.relation),
        "label_horizons": ", ".join(str(int(horizon)) for horizon in label_set.horizons),
        "label_returns": ", ".join(returns),
        "label_return_sum": " + ".join(returns),
        "label_known_ats": ", ".join(f"label.known_ats[{place}]" for place in places),
        "returns_ahead": ", ".join(f"lead(close, {int(h)}) OVER ahead / close - 1" for h in label_set.horizons),
        "known_ats_ahead": ", ".join(f"lead(known_at, {int(h)}) OVER ahead" for h in label_set.horizons),
    }


def _of_whole_series(label_set: LabelSet) -> dict[str, str]:
    """Return what compares the `n` labels of a symbol with its bars, both as arrays in the order of their moments.

    For each horizon `label` has the arrays `known_ats_1`, `returns_1` and so on, in the order of the horizons; `bar`
    has `known_ats` and `closes`.
    """
    horizons = tuple(enumerate(label_set.horizons, start=1))
    arrays = (("known_ats", "known_ats"), ("forward_returns", "returns"))
    return {
        "label_arrays": ", ".join(
            f"array_agg(label.{column}[{place}] ORDER BY label.ts) AS {name}_{place}"
            for place, _ in horizons
            for column, name in arrays
        ),
        "label_half_there": " OR ".join(
            f"(label.known_ats[{place}] IS NULL) <> (label.forward_returns[{place}] IS NULL)" for place, _ in horizons
        ),
        "label_known_ats_follow": " AND ".join(
            f"label.known_ats_{place} = bar.known_ats[{1 + horizon}:{horizon} + label.n]" for place, horizon in horizons
        ),
        "label_closes_and_returns": ", ".join(
            f"bar.closes[{1 + horizon}:{horizon} + label.n], label.returns_{place}" for place, horizon in horizons
        ),
        "label_ahead_and_return": ", ".join(f"ahead_{place}, return_{place}" for place, _ in horizons),
        "label_return_differs": " OR ".join(
            f"return_{place} IS DISTINCT FROM ahead_{place} / close - 1" for place, _ in horizons
        ),
    }


def _relation(name: str) -> str:
    return ".".join(_word(part) for part in name.split("."))


def _word(name: str) -> str:
    if not _WORD.fullmatch(name):
        raise ChecksError(
            f"A feature set, label set or timeframe has the name {name!r} in it. Use small letters, digits and "
            "underscores, so that its checks can name it."
        )
    return name


def _moment(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise ChecksError(f"{moment} has no timezone, so it is no moment. Give it one.")
    return f"'{moment.astimezone(UTC).isoformat()}'::timestamptz"
