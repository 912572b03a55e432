"""Which versions forecast, and their bytes as they were registered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from mlops.domain import ModelVersion
from mlops.exceptions import ForecastingError, NoProductionModelError
from mlops.scoring import intact
from mlops.warehouse import sql


@dataclass(frozen=True, slots=True)
class Production:
    """A version that the alias `production` points at, and what it takes."""

    version: ModelVersion
    sha256: str
    timeframe: str
    horizons: tuple[int, ...]
    feature_set_version: str
    trained_as_of: datetime


def read_production(connection: Connection, model: str | None) -> list[Production]:
    """Return what is in production, of all models or of `model`. Raises NoProductionModelError where nothing is."""
    rows = connection.execute(sql("forecasting", "production"), {"model": model}).all()
    if not rows:
        raise NoProductionModelError(
            None
            if model is None
            else f"No version of {model} is in production. Train one: `forecastle train specs/{model}.toml`.",
            model=model,
        )
    return [
        Production(
            version=ModelVersion(row.model, row.version),
            sha256=row.sha256,
            timeframe=row.timeframe,
            horizons=tuple(row.horizons),
            feature_set_version=row.feature_set_version,
            trained_as_of=row.trained_as_of,
        )
        for row in rows
    ]


def production_timeframes(connection: Connection) -> list[str]:
    """Return the timeframes of all versions in production; none where nothing is."""
    return sorted({row.timeframe for row in connection.execute(sql("forecasting", "production"), {"model": None})})


def read_artifact(connection: Connection, production: Production) -> bytes:
    """Return the version's ONNX bytes. Raises ArtifactCorruptError where they are not those that were registered."""
    stored = connection.execute(sql("forecasting", "artifact"), {"sha256": production.sha256}).scalar_one_or_none()
    return intact(stored, production.sha256, production.version)


def refuse_hindsight(connection: Connection, production: Production, as_of: datetime) -> None:
    """Raise ForecastingError where the version was trained on what was not known yet at `as_of`.

    A version trained later than `as_of` is fine as long as nothing became known in between: then its training saw
    what could be seen at `as_of`.
    """
    if production.trained_as_of <= as_of:
        return
    hindsight: bool = connection.execute(
        sql("forecasting", "known_in_training"),
        {"timeframe": production.timeframe, "as_of": as_of, "trained_as_of": production.trained_as_of},
    ).scalar_one()
    if hindsight:
        raise ForecastingError(
            f"{production.version} was trained as of {production.trained_as_of:%Y-%m-%d %H:%M} UTC: at "
            f"{as_of:%Y-%m-%d %H:%M} it would know its own future. Forecast as of a later moment, or train as of an "
            "earlier one.",
            version=production.version,
            as_of=as_of,
        )
