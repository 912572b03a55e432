"""Put a trained model into the registry, all or nothing: bytes, version, references, baselines, alias, run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from mlops.domain import TECHNICAL_FEATURES, ModelVersion
from mlops.modelling import DatasetFacts, Part, TrainedModel
from mlops.registry.revision import code_revision
from mlops.registry.runs import finish_run
from mlops.spec import Spec
from mlops.warehouse import sql


@dataclass(frozen=True, slots=True)
class Registered:
    """What became of a trained model.

    Attributes:
        version: the version that holds it.
        is_new: False where an earlier run had registered the same bytes from the same rows.
        alias: the alias that points at it since now; None where it is not new.
        reason: why, as it stands in the alias's history.
        metrics: as they stand in the version.
    """

    version: ModelVersion
    is_new: bool
    sha256: str
    alias: str | None
    reason: str
    metrics: Mapping[str, Any]


def register(
    connection: Connection, run_id: UUID, spec: Spec, dataset: DatasetFacts, trained: TrainedModel
) -> Registered:
    """Register `trained` as the next version of the spec's model and end its run as succeeded.

    All of it happens in the transaction of `connection`; the caller holds the lock of the model. The same bytes from
    the same rows are no new version: the run succeeds, and the version that there is is returned.
    """
    sha256 = hashlib.sha256(trained.artifact).hexdigest()
    same: int | None = connection.execute(
        sql("registry", "same_version"),
        {"model": spec.model, "sha256": sha256, "data_fingerprint": dataset.fingerprint},
    ).scalar_one_or_none()
    seen: int = connection.execute(
        sql("registry", "test_windows"),
        {
            "model": spec.model,
            "before": same,
            "test_open_from": dataset.plan.test_open_from,
            "test_to": dataset.plan.test_to,
        },
    ).scalar_one()
    metrics = {
        **trained.metrics,
        "importances": dict(trained.importances),
        "history": [dict(each) for each in trained.history],
        "test_windows_seen_before": seen,
        "rows": dict(dataset.rows),
        "excluded": dict(dataset.excluded),
    }
    finish_run(connection, run_id, "succeeded", rows=dataset.rows, excluded=dataset.excluded, metrics=metrics)
    if same is not None:
        version = ModelVersion(spec.model, same)
        return Registered(version, False, sha256, None, f"{version} was trained to the same bytes before", metrics)

    version = _add_version(connection, run_id, spec, dataset, trained, metrics=metrics)
    _add_references(connection, version, trained)
    alias = spec.promotion.first if version.version == 1 else spec.promotion.later
    reason = _reason(version, trained)
    connection.execute(
        sql("registry", "alias_move"),
        {"model": version.model, "version": version.version, "alias": alias, "reason": reason},
    )
    return Registered(version, True, sha256, alias, reason, metrics)


def _add_version(
    connection: Connection,
    run_id: UUID,
    spec: Spec,
    dataset: DatasetFacts,
    trained: TrainedModel,
    *,
    metrics: Mapping[str, Any],
) -> ModelVersion:
    """Keep the bytes and all of rule 6, and return the version's name."""
    sha256 = hashlib.sha256(trained.artifact).hexdigest()
    connection.execute(sql("registry", "artifact_add"), {"sha256": sha256, "bytes": trained.artifact})
    number: int = connection.execute(
        sql("registry", "version_add"),
        {
            "model": spec.model,
            "run_id": run_id,
            "sha256": sha256,
            "family": spec.family,
            "timeframe": spec.timeframe,
            "horizons": list(spec.horizons),
            "features": list(TECHNICAL_FEATURES),
            "feature_set_version": dataset.feature_set_version,
            "data_from": dataset.data_from,
            "data_to": dataset.data_to,
            "data_fingerprint": dataset.fingerprint,
            "split": json.dumps({**spec.split.model_dump(), **asdict(dataset.plan)}, default=_as_text),
            "seed": spec.seed,
            "hyperparameters": spec.hyperparameters.model_dump_json(),
            "packages": json.dumps(dict(trained.packages)),
            "code_revision": code_revision(),
            "metrics": json.dumps(metrics),
            "parity_max_abs_diff": trained.parity_max_abs_diff,
        },
    ).scalar_one()
    return ModelVersion(spec.model, number)


def _add_references(connection: Connection, version: ModelVersion, trained: TrainedModel) -> None:
    key = {"model": version.model, "version": version.version}
    connection.execute(
        sql("registry", "reference_add"),
        [
            {**key, "feature": each.feature, "edges": list(each.edges), "counts": list(each.counts)}
            for each in trained.references
        ],
    )
    connection.execute(sql("registry", "baseline_add"), [{**key, **asdict(each)} for each in trained.baselines])


def _reason(version: ModelVersion, trained: TrainedModel) -> str:
    """Return why the alias moves: by which rule, and how much better than naive the version is, good or bad."""
    skills = ", ".join(
        f"h{horizon} {_percent(entry['mae']['skill'])}" for horizon, entry in trained.metrics[Part.TEST.value].items()
    )
    rule = "First version" if version.version == 1 else "Later version, waits for promotion"
    return (
        f"{rule}: its checks held, and the export says what the model says within {trained.parity_max_abs_diff:.0e}. "
        f"Skill of MAE over naive on the test part: {skills}."
    )


def _percent(skill: float | None) -> str:
    return "none" if skill is None else f"{skill:+.2%}"


def _as_text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in a split")
