"""Which labels there are: labels.catalog, which dbt makes from the contracts of its label sets.

No module names a label or a horizon. The labels of a bar stand in labels.vectors, as arrays over its horizons.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from mlops.exceptions import FeaturesError
from mlops.warehouse.queries import sql
from mlops.warehouse.timeframes import read_timeframe


@dataclass(frozen=True, slots=True)
class LabelSet:
    """The labels of one timeframe, as they are built.

    Attributes:
        name: as specifications have it.
        version: names the definition of the labels.
        relation: their table, as `schema.relation`.
        horizons: bars ahead, ascending, in the order of labels.vectors.
        thresholds: for each horizon, beyond which return, as a fraction, a direction is BULLISH or BEARISH.
    """

    name: str
    version: str
    relation: str
    horizons: tuple[int, ...]
    thresholds: tuple[float, ...]

    def places(self, horizons: tuple[int, ...]) -> tuple[int, ...]:
        """Return where `horizons`, each of them one of this set, stand in its arrays; the first place is 0."""
        return tuple(self.horizons.index(horizon) for horizon in horizons)

    def thresholds_of(self, horizons: tuple[int, ...]) -> tuple[float, ...]:
        """Return the thresholds of `horizons`, each of them one of this set."""
        return tuple(self.thresholds[place] for place in self.places(horizons))


def label_set_relations(connection: Connection) -> dict[str, str]:
    """Return the table of each label set that is built, by the set's name."""
    return {row.label_set: row.relation for row in connection.execute(sql("warehouse", "label_sets"))}


def read_label_set(connection: Connection, name: str, timeframe: str) -> LabelSet:
    """Return the label set `name` for bars of `timeframe`.

    Raises FeaturesError where it is not built, or built before the timeframe's horizons were changed, and
    TimeframeError where there is no such timeframe.
    """
    declared = read_timeframe(connection, timeframe)
    found = label_set_relations(connection)
    if name not in found:
        there = f"There are: {', '.join(found)}." if found else "There are none yet."
        raise FeaturesError(
            f"There is no label set {name!r} in the warehouse. {there} Build what the project defines: "
            "`forecastle features build`.",
            label_set=name,
        )
    newest = connection.execute(
        sql("warehouse", "label_set_built"), {"label_set": name, "timeframe": timeframe}
    ).one_or_none()
    if newest is not None and tuple(newest.horizons) != declared.horizons:
        raise FeaturesError(
            f"The labels of {timeframe} were built for other horizons than market.timeframes has now. Build them "
            "again: `forecastle features build`.",
            label_set=name,
        )
    version = newest.label_set_version if newest else ""
    return LabelSet(name, version, found[name], declared.horizons, declared.thresholds)
