"""Bring everything that dbt derives up to date: staging views, features, labels, the views for people.

The hypertables are brought up to date by what is new in market.bars; views hold no rows, so a process makes them at its
first build of a database, and again only where one is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlops.features import runner
from mlops.warehouse import Warehouse, sql
from mlops.warehouse.locks import take_lock
from mlops.warehouse.migrate import require_current

HYPERTABLES = "config.materialized:hypertable"
"""dbt's name for the models that hold rows."""

VIEWS = "config.materialized:replaced_view"
"""dbt's name for the views."""

_complete: set[str] = set()
"""URLs of the databases that had all their views from this process."""


@dataclass(frozen=True, slots=True)
class ModelResult:
    """What a build did to one model.

    Attributes:
        name: as `schema.relation`.
        seconds: from the first query of the model to its last, inside the database for all that matters.
        rows: rows inserted or updated; None for a view.
    """

    name: str
    seconds: float
    rows: int | None


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What a build did.

    Attributes:
        models: in the order in which they were done.
    """

    models: tuple[ModelResult, ...]

    @property
    def seconds(self) -> float:
        """Seconds that the models took, summed, though two are built at a time; without the start-up of dbt."""
        return sum(model.seconds for model in self.models)

    @property
    def rows(self) -> int:
        """Rows inserted or updated in all models together."""
        return sum(model.rows or 0 for model in self.models)

    def model(self, name: str) -> ModelResult:
        """Return what was done to `schema.relation`. Raises KeyError where it was not built."""
        for model in self.models:
            if model.name == name:
                return model
        raise KeyError(name)


def build(
    warehouse: Warehouse, *, full_refresh: bool = False, select: str | Sequence[str] | None = None
) -> BuildResult:
    """Build what dbt derives from market.bars, and return what was done.

    A hypertable is touched only where bars reach that are new, corrected or deleted since its last build, whatever
    their date; with `full_refresh`, or where the feature set or the thresholds changed, it is built anew. `select`
    names models as dbt does (`by_horizon`, `+by_horizon`); None: all that can have changed. Two at once wait
    for each other.

    Raises FeaturesError with the model at fault and the database's words; a model is built whole or left as it was, and
    models that depend on a failed one are not built. Raises NotMigratedError, WarehouseUnreachableError.
    """
    first = warehouse.plain_url not in _complete
    if first:
        require_current(warehouse)
    with warehouse.begin(role=None) as connection:
        take_lock(connection, "features.build")
        missing = connection.execute(sql("features", "missing_views"), {"names": runner.views()}).all()
        if select:
            selection = [select] if isinstance(select, str) else list(select)
        else:
            selection = [] if first or full_refresh or missing else [HYPERTABLES]
        nodes = runner.run(warehouse.url, select=selection, full_refresh=full_refresh)
    if not selection:
        _complete.add(warehouse.plain_url)
    return BuildResult(
        models=tuple(ModelResult(name=node.relation, seconds=node.seconds, rows=node.rows) for node in nodes)
    )
