"""Which features there are: features.catalog, which dbt makes from the contracts of its feature sets.

No module names a feature. Their values stand in features.vectors, as an array in the order in which they are here.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import Connection

from mlops.exceptions import FeaturesError
from mlops.warehouse.queries import sql


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature, and what its contract says that it can be; a bound that is None is not given.

    Attributes:
        above: it is greater than this.
        at_least, at_most: it is neither below nor above these.
        why: why it cannot be anything else.
    """

    name: str
    above: float | None
    at_least: float | None
    at_most: float | None
    why: str | None


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """A feature set of the warehouse.

    Attributes:
        name: as specifications have it.
        version: names the definition of its features.
        relation: its table, as `schema.relation`.
        bars_before_first_row: how many bars at the beginning of a series have no row.
        features: in the order of features.vectors.
    """

    name: str
    version: str
    relation: str
    bars_before_first_row: int
    features: tuple[Feature, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its features, in the order of features.vectors."""
        return tuple(feature.name for feature in self.features)


def read_feature_sets(connection: Connection) -> dict[str, FeatureSet]:
    """Return the feature sets that are built, by name; none before the first build."""
    rows = connection.execute(sql("warehouse", "feature_sets"))
    grouped = groupby(rows, key=lambda row: (row.feature_set, row.version, row.relation, row.bars_before_first_row))
    return {
        of_set[0]: FeatureSet(
            *of_set, tuple(Feature(row.feature, row.above, row.at_least, row.at_most, row.why) for row in features)
        )
        for of_set, features in grouped
    }


def read_feature_set(connection: Connection, name: str) -> FeatureSet:
    """Return the feature set `name`. Raises FeaturesError, naming those that there are, where it is not built."""
    found = read_feature_sets(connection)
    if name in found:
        return found[name]
    raise FeaturesError.no_such_set("feature", name, found)
