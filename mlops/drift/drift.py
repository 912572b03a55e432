"""Measure drift in the database: what goes into the model, what comes out of it, and how often it is right."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, Row

from mlops.domain import ModelVersion
from mlops.drift import thresholds
from mlops.exceptions import DriftError, NoProductionModelError
from mlops.spec import DriftSpec
from mlops.warehouse import Warehouse, sql
from mlops.warehouse.locks import take_lock


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """Population stability index of a feature, or of a prediction (named like `p50_h5`); None without rows."""

    feature: str
    psi: float | None
    n_reference: int
    n_current: int
    state: str


@dataclass(frozen=True, slots=True)
class SymbolDrift:
    """Share of right directions of one symbol, 0 to 1, beside the version's on its validation part."""

    ticker: str
    accuracy: float | None
    n_predictions: int
    baseline_accuracy: float
    drift_margin: float | None
    state: str


@dataclass(frozen=True, slots=True)
class VersionDrift:
    """All measurements of one version; features by name, symbols with the worst first."""

    version: ModelVersion
    window_days: int
    features: tuple[FeatureDrift, ...]
    symbols: tuple[SymbolDrift, ...]

    def feature_states(self) -> Counter[str]:
        """Return how many features and predictions are in each state."""
        return Counter(each.state for each in self.features)

    def symbol_states(self) -> Counter[str]:
        """Return how many symbols are in each state."""
        return Counter(each.state for each in self.symbols)


@dataclass(frozen=True, slots=True)
class DriftSummary:
    """What was measured as of `as_of` (UTC) and is kept under its `day`."""

    as_of: datetime
    day: date
    versions: tuple[VersionDrift, ...]


def measure(warehouse: Warehouse, as_of: datetime) -> DriftSummary:
    """Measure the drift of every version in production over the days that its specification says, up to `as_of`.

    Only what was known at `as_of` (UTC) counts. The measurements of a day are replaced by a later run for the same
    day; a run that measures the same changes nothing.

    Raises:
        NoProductionModelError: nothing is in production.
        DriftError: the version has no reference to be measured against.
    """
    as_of = as_of.astimezone(UTC)
    with warehouse.begin() as connection:
        take_lock(connection, "monitoring.drift")
        production = connection.execute(sql("drift", "production")).all()
        if not production:
            raise NoProductionModelError
        versions = tuple(_measure_version(connection, row, as_of) for row in production)
    return DriftSummary(as_of=as_of, day=as_of.date(), versions=versions)


def _measure_version(connection: Connection, production: Row[Any], as_of: datetime) -> VersionDrift:
    version = ModelVersion(production.model, production.version)
    spec = _drift_spec(version, production.drift)
    where = {
        "model": version.model,
        "version": version.version,
        "feature_set": production.feature_set,
        "timeframe": production.timeframe,
        "as_of": as_of,
        "window_from": as_of - timedelta(days=spec.window_days),
        "day": as_of.date(),
        "minimum": spec.minimum_predictions,
    }
    features = connection.execute(
        sql("drift", "stability"),
        where
        | {
            "smallest_share": thresholds.PSI_SMALLEST_SHARE,
            "monitor_from": thresholds.PSI_MONITOR_FROM,
            "alert_above": thresholds.PSI_ALERT_ABOVE,
        },
    ).all()
    if not features:
        raise DriftError(
            f"{version} has no reference to measure drift against, though training stores one. Train again.",
            version=version,
        )
    symbols = connection.execute(
        sql("drift", "accuracy"),
        where
        | {
            "normal_above": thresholds.ACCURACY_NORMAL_ABOVE,
            "alert_below": thresholds.ACCURACY_ALERT_BELOW,
            "emergency_below": thresholds.ACCURACY_EMERGENCY_BELOW,
        },
    ).all()
    return VersionDrift(
        version=version,
        window_days=spec.window_days,
        features=tuple(FeatureDrift(**row._mapping) for row in features),
        symbols=tuple(SymbolDrift(**row._mapping) for row in symbols),
    )


def _drift_spec(version: ModelVersion, stored: object) -> DriftSpec:
    try:
        return DriftSpec.model_validate(stored)
    except ValidationError as error:
        raise DriftError(
            f"The run of {version} does not say over what its drift is measured ({error.errors()[0]['msg']}). "
            "Train again.",
            version=version,
        ) from error
