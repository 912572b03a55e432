"""Put the rows of a run into ml.training_rows, each with its subset: the checks prove them, then the trainer reads."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, text

from mlops.datasets.split import plan_split
from mlops.exceptions import DatasetError
from mlops.modelling import SplitPlan, Subset
from mlops.spec import Spec
from mlops.warehouse import sql
from mlops.warehouse.feature_sets import FeatureSet, read_feature_set
from mlops.warehouse.label_sets import LabelSet, read_label_set
from mlops.warehouse.timeframes import read_timeframe

CAUSES: Mapping[str, str] = {
    "null_feature": "a feature is NULL: a zero denominator, or a value that the source lacks",
    "known_late": "a bar behind the row was known only after the row's as_of",
    "label_unknown": "a label is not known yet",
}
"""Why a row is in no subset; a row counts under the first that applies."""


@dataclass(frozen=True, slots=True)
class Materialised:
    """What `materialise` has put into ml.training_rows.

    Attributes:
        rows: number of rows by subset, `purged` and `embargoed` among them.
        excluded: number of rows left out, by cause (see CAUSES); also `quarantined`, once symbols were left out.
        data_from: `as_of` of the first row, UTC.
        data_to: when the last label is known, UTC.
        feature_set: the set that the features are of.
        feature_set_version: the one version of it that all rows are of.
        label_set: what the labels are of, for the timeframe.
        recorded_until: when this database learnt the newest bar behind the features and labels that there were.
    """

    plan: SplitPlan
    rows: Mapping[str, int]
    excluded: Mapping[str, int]
    data_from: datetime
    data_to: datetime
    feature_set: FeatureSet
    feature_set_version: str
    label_set: LabelSet
    recorded_until: datetime

    @property
    def n_used(self) -> int:
        """Number of rows in the three subsets."""
        return sum(self.rows[subset] for subset in Subset)


def materialise(connection: Connection, run_id: UUID, spec: Spec, as_of: datetime) -> Materialised:
    """Fill ml.training_rows with what was known at `as_of` (UTC), split by `mlops.datasets.split`.

    In are the rows of the spec's timeframe and universe with `as_of` not after it, all features of its set, no bar
    behind them that was known later than the row's own `as_of`, and labels of all horizons that were known at `as_of`.

    Raises:
        DatasetError: there are too few dates, or the rows are of several versions of the feature set.
        FeaturesError: the spec's feature set or label set is not built, or the latter for other horizons.
    """
    feature_set = read_feature_set(connection, spec.feature_set)
    label_set = read_label_set(connection, spec.label_set, read_timeframe(connection, spec.timeframe))
    wanted = {
        "feature_set": feature_set.name,
        "timeframe": spec.timeframe,
        "as_of": as_of,
        "date_unit": label_set.timeframe.date_unit,
        "label_set": label_set.name,
        "places": [1 + place for place in label_set.places(spec.horizons)],
        "universe": spec.universe.model_dump_json(exclude={"list"}, exclude_none=True),
        "list": spec.universe.list,
    }
    connection.execute(sql("datasets", "planning"))
    connection.execute(sql("datasets", "candidates_table"))
    connection.execute(sql("datasets", "candidates"), wanted)
    dates = connection.execute(sql("datasets", "dates")).all()
    usable = [row for row in dates if row.n_usable]
    excluded = {cause: sum(getattr(row, f"n_{cause}") for row in dates) for cause in CAUSES}
    if not usable:
        counts = ", ".join(f"{n} {cause}" for cause, n in excluded.items())
        raise DatasetError(
            f"There is no {spec.timeframe} row to train on as of {as_of:%Y-%m-%d %H:%M} UTC ({counts}). Ingest bars "
            "and run `forecastle features build`, train as of a later moment, or ask for other symbols under "
            "[universe].",
            excluded=excluded,
        )
    versions = {row.first_version for row in usable} | {row.last_version for row in usable}
    if len(versions) > 1:
        raise DatasetError(
            f"The features are of several versions ({', '.join(sorted(versions))}). "
            "Rebuild them all: `forecastle features build --full-refresh`."
        )
    plan = plan_split([row.date for row in usable], spec.split, max(spec.horizons))
    connection.execute(
        sql("datasets", "fill"),
        {
            "run_id": run_id,
            "validation_from": plan.validation_from,
            "validation_open_from": plan.validation_open_from,
            "test_from": plan.test_from,
            "test_open_from": plan.test_open_from,
        },
    )
    connection.execute(text("SELECT ml.analyze_training_rows()"))
    return Materialised(
        plan=plan,
        rows=_counted(connection, run_id),
        excluded=excluded,
        data_from=min(row.data_from for row in usable),
        data_to=max(row.data_to for row in usable),
        feature_set=feature_set,
        feature_set_version=versions.pop(),
        label_set=label_set,
        recorded_until=max(row.recorded_until for row in dates),
    )


def leave_out(
    connection: Connection, run_id: UUID, materialised: Materialised, symbol_ids: Collection[int]
) -> Materialised:
    """Take the rows of `symbol_ids` out of ml.training_rows and return what is left; the split stays as it is.

    They count as excluded by the cause `quarantined`. Raises DatasetError where a subset of the split has no rows left.
    """
    given = {"run_id": run_id, "symbol_ids": sorted(symbol_ids)}
    n_left_out = connection.execute(sql("datasets", "leave_out"), given).rowcount
    left = connection.execute(sql("datasets", "reach"), {"run_id": run_id}).one()
    return replace(
        materialised,
        rows=_counted(connection, run_id),
        excluded={**materialised.excluded, "quarantined": n_left_out},
        data_from=left.data_from,
        data_to=left.data_to,
    )


def _counted(connection: Connection, run_id: UUID) -> dict[str, int]:
    """Return the number of rows by subset. Raises DatasetError where a subset has none."""
    counted = {row.split: row.n for row in connection.execute(sql("datasets", "counts"), {"run_id": run_id})}
    rows = {split: counted.get(split, 0) for split in (*Subset, "purged", "embargoed")}
    if not all(rows[subset] for subset in Subset):
        raise DatasetError(f"A part of the split has no rows ({rows}). Ingest a longer history.", rows=rows)
    return rows


def clear(connection: Connection, run_id: UUID) -> None:
    """Take the rows of the run out of ml.training_rows again."""
    connection.execute(sql("datasets", "clear"), {"run_id": run_id})
