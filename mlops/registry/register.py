"""Put a trained model into the registry, all or nothing: version, inputs, bytes, references, baselines, alias, run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from mlops.domain import ModelVersion
from mlops.modelling import DatasetFacts, Subset, TrainedModel
from mlops.registry.labels import Answer, Label, next_label
from mlops.registry.revision import code_revision
from mlops.registry.runs import finish_run
from mlops.spec import Spec
from mlops.warehouse import sql

_RULES = {
    "production": "First version of the model, put into production by the specification {name}",
    "staging": "Waits for promotion",
    "challenger": "Forecasts in the shadow, by the specification {name}",
}
"""What each alias means for a version that gets it."""


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
        {
            "model": spec.model,
            "candidate": spec.candidate,
            "sha256": sha256,
            "data_fingerprint": dataset.fingerprint,
        },
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
    alias = _alias(connection, spec, version)
    reason = _reason(spec, version, alias, trained)
    connection.execute(
        sql("registry", "version_place"),
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
    """Keep the bytes and all that it takes to train it again, and return the version's name."""
    label = _label(connection, spec, dataset, trained)
    number: int = connection.execute(
        sql("registry", "version_add"),
        {
            "model": spec.model,
            "run_id": run_id,
            "candidate": spec.candidate,
            **asdict(label),
            "family": spec.family,
            "timeframe": spec.timeframe,
            "horizons": list(spec.horizons),
            "n_symbols": dataset.symbols,
            "label_set": dataset.label_set,
            "label_set_version": dataset.label_set_version,
            "thresholds": list(dataset.thresholds),
            "data_from": dataset.data_from,
            "data_to": dataset.data_to,
            "data_fingerprint": dataset.fingerprint,
            "split": json.dumps({**spec.split.model_dump(), **asdict(dataset.plan)}, default=_as_text),
            "seed": spec.seed,
            "hyperparameters": spec.hyperparameters.model_dump_json(),
            "packages": json.dumps(dict(trained.packages)),
            "code_revision": code_revision(),
            "metrics": json.dumps(metrics),
        },
    ).scalar_one()
    key = {"model": spec.model, "version": number}
    connection.execute(
        sql("registry", "input_add"),
        [{**key, **asdict(each), "features": list(each.features)} for each in trained.inputs],
    )
    sha256 = hashlib.sha256(trained.artifact).hexdigest()
    connection.execute(sql("registry", "artifact_add"), {"sha256": sha256, "bytes": trained.artifact})
    connection.execute(
        sql("registry", "component_add"),
        {
            **key,
            "member": spec.candidate,
            "sha256": sha256,
            "tolerance": trained.tolerance,
            "parity": trained.parity_max_abs_diff,
        },
    )
    return ModelVersion(spec.model, number)


def _label(connection: Connection, spec: Spec, dataset: DatasetFacts, trained: TrainedModel) -> Label:
    """Return the label of the version to be, by those of the model's versions that there are."""
    inputs = [
        [each.name, each.kind, each.feature_set, each.feature_set_version, list(each.features)]
        for each in sorted(trained.inputs, key=lambda each: each.name)
    ]
    target = [dataset.label_set, dataset.label_set_version, list(dataset.thresholds)]
    hyperparameters = json.loads(spec.hyperparameters.model_dump_json())
    return next_label(
        Answer([target, inputs], (spec.candidate, spec.family, hyperparameters)),
        (
            (
                Answer(
                    [[row.label_set, row.label_set_version, list(row.thresholds)], row.inputs],
                    (row.candidate, row.family, row.hyperparameters),
                ),
                Label(row.major, row.minor, row.patch),
            )
            for row in connection.execute(sql("registry", "earlier_labels"), {"model": spec.model})
        ),
    )


def _alias(connection: Connection, spec: Spec, version: ModelVersion) -> str:
    """Return the alias that the specification gives the version: production only where the model never had any."""
    history = connection.execute(
        sql("registry", "history"),
        {"model": version.model, "version": version.version, "candidate": spec.candidate},
    ).one()
    if history.has_earlier or (spec.promotion.first == "production" and history.had_production):
        return spec.promotion.later
    return spec.promotion.first


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


def _reason(spec: Spec, version: ModelVersion, alias: str, trained: TrainedModel) -> str:
    """Return why the alias moves: by which rule, and how much better than naive the version is, good or bad."""
    skills = ", ".join(
        f"h{horizon} {_percent(entry['mae']['skill'])}" for horizon, entry in trained.metrics[Subset.TEST.value].items()
    )
    return (
        f"{_RULES[alias].format(name=spec.name)}: its checks held, and the export says what the model says within "
        f"{trained.parity_max_abs_diff:.0e}. Skill of MAE over naive on the test part: {skills}."
    )


def _percent(skill: float | None) -> str:
    return "none" if skill is None else f"{skill:+.2%}"


def _as_text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in a split")
