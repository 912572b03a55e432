"""Which versions forecast, in which role, and their bytes as they were registered."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from mlops.domain import ModelVersion
from mlops.exceptions import ForecastingError, NoProductionModelError
from mlops.scoring import intact
from mlops.warehouse import sql

PRODUCTION = "production"


@dataclass(frozen=True, slots=True)
class Serving:
    """A version that forecasts, and what it takes.

    Attributes:
        role: `production`, or `challenger`: in the shadow, to be compared.
        candidate: which of the model's candidates it is a version of.
        universe: for which symbols, as JSON; None: all of them.
        trained_as_of: nothing known after this moment (UTC) was used in its training.
    """

    version: ModelVersion
    role: str
    candidate: str
    sha256: str
    timeframe: str
    horizons: tuple[int, ...]
    universe: str | None
    feature_set: str
    feature_set_version: str
    trained_as_of: datetime

    @property
    def in_production(self) -> bool:
        """Whether its forecasts are what stands."""
        return self.role == PRODUCTION


def read_serving(connection: Connection, model: str | None) -> list[Serving]:
    """Return what forecasts, of all models or of `model`, production first.

    Raises NoProductionModelError where nothing does.
    """
    rows = connection.execute(sql("forecasting", "serving"), {"model": model}).all()
    if not rows:
        raise NoProductionModelError(model)
    return [
        Serving(
            version=ModelVersion(row.model, row.version),
            role=row.role,
            candidate=row.candidate,
            sha256=row.sha256,
            timeframe=row.timeframe,
            horizons=tuple(row.horizons),
            universe=None if row.universe is None else json.dumps(row.universe, sort_keys=True),
            feature_set=row.feature_set,
            feature_set_version=row.feature_set_version,
            trained_as_of=row.trained_as_of,
        )
        for row in rows
    ]


def serving_timeframes(connection: Connection) -> list[str]:
    """Return the timeframes of all versions that forecast; none where none does."""
    return sorted({row.timeframe for row in connection.execute(sql("forecasting", "serving"), {"model": None})})


def read_artifact(connection: Connection, serving: Serving) -> bytes:
    """Return the version's ONNX bytes. Raises ArtifactCorruptError where they are not those that were registered."""
    stored = connection.execute(sql("forecasting", "artifact"), {"sha256": serving.sha256}).scalar_one_or_none()
    return intact(stored, serving.sha256, serving.version)


def refuse_hindsight(connection: Connection, serving: Serving, as_of: datetime) -> None:
    """Raise ForecastingError where the version was trained on what was not known yet at `as_of`.

    A version trained later than `as_of` is fine as long as nothing became known in between: then its training saw
    what could be seen at `as_of`.
    """
    if serving.trained_as_of <= as_of:
        return
    hindsight: bool = connection.execute(
        sql("forecasting", "known_in_training"),
        {
            "feature_set": serving.feature_set,
            "timeframe": serving.timeframe,
            "as_of": as_of,
            "trained_as_of": serving.trained_as_of,
        },
    ).scalar_one()
    if hindsight:
        raise ForecastingError(
            f"{serving.version} was trained as of {serving.trained_as_of:%Y-%m-%d %H:%M} UTC: at "
            f"{as_of:%Y-%m-%d %H:%M} it would know its own future. Forecast as of a later moment, or train as of an "
            "earlier one.",
            version=serving.version,
            as_of=as_of,
        )
