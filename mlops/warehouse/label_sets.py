"""Which labels there are: labels.catalog, which dbt makes from the contracts of its label sets.

No module names a label or a horizon. The labels of a bar stand in labels.vectors, as arrays over its horizons.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from mlops.domain import Timeframe
from mlops.exceptions import FeaturesError
from mlops.warehouse.queries import sql


@dataclass(frozen=True, slots=True)
class LabelSet:
    """The labels of one timeframe, as they are built.

    Attributes:
        name: as specifications have it.
        version: names the definition of the labels.
        relation: their table, as `schema.relation`.
        timeframe: whose horizons they have, in the order of labels.vectors, and whose thresholds.
    """

    name: str
    version: str
    relation: str
    timeframe: Timeframe

    @property
    def horizons(self) -> tuple[int, ...]:
        """Bars ahead, ascending, in the order of labels.vectors."""
        return self.timeframe.horizons

    def places(self, horizons: tuple[int, ...]) -> tuple[int, ...]:
        """Return where `horizons`, each of them one of this set, stand in its arrays; the first place is 0."""
        return tuple(self.horizons.index(horizon) for horizon in horizons)

    def thresholds_of(self, horizons: tuple[int, ...]) -> tuple[float, ...]:
        """Return the thresholds of `horizons`, each of them one of this set."""
        return tuple(self.timeframe.thresholds[place] for place in self.places(horizons))


def label_set_relations(connection: Connection) -> dict[str, str]:
    """Return the table of each label set that is built, by the set's name."""
    return {row.label_set: row.relation for row in connection.execute(sql("warehouse", "label_sets"))}


def read_label_set(connection: Connection, name: str, timeframe: Timeframe) -> LabelSet:
    """Return the label set `name` for bars of `timeframe`.

    Raises FeaturesError where it is not built, or built before the timeframe's horizons were changed.
    """
    found = label_set_relations(connection)
    if name not in found:
        raise FeaturesError.no_such_set("label", name, found)
    newest = connection.execute(
        sql("warehouse", "label_set_built"), {"label_set": name, "timeframe": timeframe.name}
    ).one_or_none()
    if newest is not None and tuple(newest.horizons) != timeframe.horizons:
        raise FeaturesError(
            f"The labels of {timeframe.name} were built for other horizons than market.timeframes has now. Build them "
            "again: `forecastle features build`.",
            label_set=name,
        )
    return LabelSet(name, newest.label_set_version if newest else "", found[name], timeframe)
