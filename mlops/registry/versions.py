"""What is registered: versions, which of them is in production, and their bytes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from mlops.domain import ModelVersion
from mlops.exceptions import NoProductionModelError, RegistryError
from mlops.scoring import intact
from mlops.warehouse import sql


@dataclass(frozen=True, slots=True)
class Version:
    """One version: everything that is needed to train it again, and how good it was.

    Attributes:
        candidate: which of the model's candidates it is a version of.
        label: major.minor.patch; see `mlops.registry.labels`.
        aliases: the aliases that point at it now.
        as_of: nothing known after this moment (UTC) was used.
        spec: the specification, as it was.
        spec_sha256: what `ml.specs` has it under.
        label_set: the labels that it was trained on, and is judged by.
        label_set_version: names their definition.
        thresholds: for each horizon, beyond which return, as a fraction, a direction is BULLISH or BEARISH.
        n_symbols: of how many symbols its rows are; None where that was not recorded yet.
        size_bytes: None where the bytes are gone.
    """

    name: ModelVersion
    candidate: str
    label: str
    aliases: tuple[str, ...]
    run_id: UUID
    as_of: datetime
    spec: dict[str, Any]
    spec_sha256: str
    created_at: datetime
    sha256: str
    size_bytes: int | None
    family: str
    timeframe: str
    horizons: tuple[int, ...]
    features: tuple[str, ...]
    feature_set_version: str
    label_set: str
    label_set_version: str
    thresholds: tuple[float, ...]
    n_symbols: int | None
    data_from: datetime
    data_to: datetime
    data_fingerprint: str
    split: dict[str, Any]
    seed: int
    hyperparameters: dict[str, Any]
    packages: dict[str, str]
    code_revision: str
    metrics: dict[str, Any]
    parity_max_abs_diff: float


def list_versions(connection: Connection, model: str | None = None) -> list[Version]:
    """Return all versions, of all models or of `model`, the newest of each first."""
    return _versions(connection, model, None)


def show(connection: Connection, name: ModelVersion) -> Version:
    """Return the version `name`. Raises RegistryError where there is none."""
    found = _versions(connection, name.model, name.version)
    if not found:
        raise RegistryError(f"There is no {name}. `forecastle models list` shows what there is.", version=name)
    return found[0]


def production(connection: Connection, model: str | None = None) -> ModelVersion:
    """Return the version of `model` that is in production; of the only model that has one where none is named.

    Raises:
        NoProductionModelError: there is none.
        RegistryError: several models have one, and none was named.
    """
    rows = connection.execute(sql("registry", "production"), {"model": model}).all()
    if not rows:
        raise NoProductionModelError(model)
    if len(rows) > 1:
        names = ", ".join(row.model for row in rows)
        raise RegistryError(f"Several models are in production: {names}. Name one of them.")
    return ModelVersion(rows[0].model, rows[0].version)


def load_artifact(connection: Connection, name: ModelVersion) -> bytes:
    """Return the ONNX bytes of the version `name`, their SHA-256 checked.

    Raises:
        RegistryError: there is no such version.
        ArtifactCorruptError: the bytes are gone, or not those that were registered.
    """
    row = connection.execute(sql("registry", "artifact"), {"model": name.model, "version": name.version}).one_or_none()
    if row is None:
        raise RegistryError(f"There is no {name}. `forecastle models list` shows what there is.", version=name)
    return intact(row.bytes, row.sha256, name)


def _versions(connection: Connection, model: str | None, version: int | None) -> list[Version]:
    rows = connection.execute(sql("registry", "versions"), {"model": model, "version": version})
    return [
        Version(
            name=ModelVersion(row.model, row.version),
            candidate=row.candidate,
            label=row.label,
            aliases=tuple(row.aliases),
            run_id=row.run_id,
            as_of=row.as_of,
            spec=row.spec,
            spec_sha256=row.spec_sha256,
            created_at=row.created_at,
            sha256=row.sha256,
            size_bytes=row.size_bytes,
            family=row.family,
            timeframe=row.timeframe,
            horizons=tuple(row.horizons),
            features=tuple(row.features),
            feature_set_version=row.feature_set_version,
            label_set=row.label_set,
            label_set_version=row.label_set_version,
            thresholds=tuple(row.thresholds),
            n_symbols=row.n_symbols,
            data_from=row.data_from,
            data_to=row.data_to,
            data_fingerprint=row.data_fingerprint,
            split=row.split,
            seed=row.seed,
            hyperparameters=row.hyperparameters,
            packages=row.packages,
            code_revision=row.code_revision,
            metrics=row.metrics,
            parity_max_abs_diff=row.parity,
        )
        for row in rows
    ]
