"""Make the forecasts of one as-of: newest feature rows in, `ml.predictions` out, in one transaction."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row

from mlops.domain import TECHNICAL_FEATURES, TIMEFRAMES, ModelVersion
from mlops.exceptions import ForecastingError
from mlops.forecasting.gate import symbols_in_quarantine
from mlops.forecasting.production import Production, read_artifact, read_production, refuse_hindsight
from mlops.warehouse import Warehouse, sql
from mlops.warehouse.copying import copy_rows
from mlops.warehouse.locks import take_lock
from mlops.warehouse.statistics import gather_statistics

if TYPE_CHECKING:
    from mlops.scoring import Scorer

MAXIMUM_SESSIONS_BEHIND = 5
"""A symbol whose newest bar is further behind its exchange is not forecast: delisted, or its source has dried up."""

_COLUMNS = (
    "model", "version", "symbol_id", "timeframe", "horizon", "as_of", "ts", "target_ts", "p10", "p50", "p90",
    "direction", "probability_bullish", "probability_neutral", "probability_bearish",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class VersionForecasts:
    """What one version had to say, as counts.

    Attributes:
        symbols: symbols that were forecast, each at all horizons.
        made: forecasts that are new.
        present: forecasts that had been made before and stay as they were.
        incomplete: symbols not forecast because their newest feature row has a NULL.
        stale: symbols not forecast because their newest bar is more than five sessions behind their exchange.
        quarantined: symbols not forecast because the newest checks found fault with their bars.
        scoring_seconds: time inside ONNX Runtime, its session's start not counted.
    """

    version: ModelVersion
    timeframe: str
    horizons: tuple[int, ...]
    symbols: int
    made: int
    present: int
    incomplete: int
    stale: int
    quarantined: int
    scoring_seconds: float


@dataclass(frozen=True, slots=True)
class ForecastReport:
    """What a forecast run did, one entry a version in production. `as_of`: nothing known after it was used."""

    as_of: datetime
    versions: tuple[VersionForecasts, ...]

    @property
    def made(self) -> int:
        """Forecasts that are new, of all versions."""
        return sum(each.made for each in self.versions)

    @property
    def present(self) -> int:
        """Forecasts that had been made before, of all versions."""
        return sum(each.present for each in self.versions)


@dataclass(frozen=True, slots=True)
class Forecast:
    """One forecast as it is stored. Returns are fractions over the horizon; `as_of` and `target_ts` are UTC."""

    ticker: str
    timeframe: str
    horizon: int
    as_of: datetime
    target_ts: datetime
    p10: float
    p50: float
    p90: float
    direction: str
    probability: float
    version: ModelVersion


@dataclass(frozen=True, slots=True)
class _Batch:
    production: Production
    rows: list[tuple[object, ...]]
    incomplete: int
    stale: int
    quarantined: int
    scoring_seconds: float


def forecast(warehouse: Warehouse, as_of: datetime, *, model: str | None = None) -> ForecastReport:
    """Forecast every symbol from its newest feature row known at `as_of`, with each version in production.

    All or nothing, in one transaction. A forecast that was made before is never rewritten, so that a second run for
    the same `as_of`, or one at the same time, changes nothing. A symbol is forecast from its newest row or not at all:
    where that row has a NULL there is no falling back to an older one.

    Args:
        warehouse: the database.
        as_of: UTC; no row known after it is used.
        model: forecast with this model only.

    Raises:
        NoProductionModelError: nothing (or nothing of `model`) is in production.
        GateClosedError: the newest check of one of the daily suites, of a version's timeframe, found a fault; or some
            of these suites were checked and others never.
        ArtifactCorruptError: the version's bytes are not those that were registered.
        ForecastingError: a version knows the future of `as_of`, the features in the warehouse are not those that it
            was trained on, or the trading calendar does not reach to the end of the horizons.
    """
    with warehouse.begin() as connection:
        batches = [_score(connection, each, as_of) for each in read_production(connection, model)]
        connection.execute(sql("forecasting", "stage"))
        copy_rows(connection, "forecasts_to_make", _COLUMNS, (row for batch in batches for row in batch.rows))
        # Whoever comes second waits here for the first to commit, and then finds the rows there.
        take_lock(connection, "ml.predictions")
        made = {
            ModelVersion(row.model, row.version): row.made for row in connection.execute(sql("forecasting", "make"))
        }
    gather_statistics(warehouse, "ml.predictions", sum(made.values()))
    return ForecastReport(as_of=as_of, versions=tuple(_counted(batch, made) for batch in batches))


def newest(warehouse: Warehouse, as_of: datetime, *, model: str | None = None) -> list[Forecast]:
    """Return the newest stored forecasts of the versions in production as of `as_of`, by ticker.

    Of all models in production or of `model`.
    """
    with warehouse.begin() as connection:
        rows = connection.execute(sql("forecasting", "newest_forecasts"), {"as_of": as_of, "model": model}).all()
    return [
        Forecast(
            ticker=row.ticker, timeframe=row.timeframe, horizon=row.horizon, as_of=row.as_of, target_ts=row.target_ts,
            p10=row.p10, p50=row.p50, p90=row.p90, direction=row.direction, probability=row.probability,
            version=ModelVersion(row.model, row.version),
        )
        for row in rows
    ]  # fmt: skip


def _counted(batch: _Batch, made: dict[ModelVersion, int]) -> VersionForecasts:
    production = batch.production
    n_made = made.get(production.version, 0)
    return VersionForecasts(
        version=production.version,
        timeframe=production.timeframe,
        horizons=production.horizons,
        symbols=len(batch.rows) // len(production.horizons),
        made=n_made,
        present=len(batch.rows) - n_made,
        incomplete=batch.incomplete,
        stale=batch.stale,
        quarantined=batch.quarantined,
        scoring_seconds=batch.scoring_seconds,
    )


def _score(connection: Connection, production: Production, as_of: datetime) -> _Batch:
    """Score the newest rows of all symbols in one run of the model."""
    import numpy as np

    from mlops.scoring import Scorer

    scorer = Scorer(read_artifact(connection, production))
    _require_agreement(scorer, production)
    refuse_hindsight(connection, production, as_of)
    quarantined = symbols_in_quarantine(connection, production.timeframe, as_of)
    every_row = connection.execute(
        sql("forecasting", "newest_rows"),
        {
            "timeframe": production.timeframe,
            "as_of": as_of,
            "horizons": list(production.horizons),
            "bar_length": TIMEFRAMES[production.timeframe],
        },
    ).all()
    rows = [row for row in every_row if row.symbol_id not in quarantined]
    _require_usable(rows, production)
    fresh = [row for row in rows if row.sessions_behind <= MAXIMUM_SESSIONS_BEHIND]
    features = np.array(
        [[getattr(row, name) for name in scorer.feature_names] for row in fresh], dtype=np.float64
    ).reshape(len(fresh), len(scorer.feature_names))
    complete = np.asarray(np.isfinite(features).all(axis=1))
    started = time.perf_counter()
    quantiles, probabilities = scorer.score(features[complete])
    seconds = time.perf_counter() - started
    usable = [row for row, whole in zip(fresh, complete, strict=True) if whole]
    return _Batch(
        production=production,
        rows=_prediction_rows(production, scorer.classes, usable, quantiles.tolist(), probabilities.tolist()),
        incomplete=len(fresh) - len(usable),
        stale=len(rows) - len(fresh),
        quarantined=len(every_row) - len(rows),
        scoring_seconds=seconds,
    )


def _require_agreement(scorer: Scorer, production: Production) -> None:
    if scorer.horizons != production.horizons or scorer.feature_set_version != production.feature_set_version:
        raise ForecastingError(
            f"The model file of {production.version} was made for horizons {list(scorer.horizons)} and feature set "
            f"{scorer.feature_set_version}, its version row says {list(production.horizons)} and "
            f"{production.feature_set_version}. Train again and let the new version take over.",
            version=production.version,
        )
    unknown = [name for name in scorer.feature_names if name not in TECHNICAL_FEATURES]
    if unknown:
        raise ForecastingError(
            f"{production.version} takes features that the warehouse does not have: {', '.join(unknown)}.",
            version=production.version,
        )


def _require_usable(rows: Sequence[Row[Any]], production: Production) -> None:
    """Refuse features of another version, and symbols that the calendar cannot place."""
    other = {row.feature_set_version for row in rows} - {production.feature_set_version}
    if other:
        raise ForecastingError(
            f"{production.version} was trained on feature set {production.feature_set_version}, and the warehouse has "
            f"{', '.join(sorted(other))}. Train again: `forecastle train specs/{production.version.model}.toml`.",
            version=production.version,
        )
    lost = {row.exchange for row in rows if row.targets is None or None in row.targets}
    if lost:
        raise ForecastingError(
            f"The trading calendar of {', '.join(sorted(lost))} does not reach from the newest bar to "
            f"{max(production.horizons)} bars ahead. `forecastle ingest bars` of newer bars extends it.",
            exchanges=sorted(lost),
        )


def _prediction_rows(
    production: Production,
    classes: tuple[str, ...],
    rows: Sequence[Row[Any]],
    quantiles: list[list[list[float]]],
    probabilities: list[list[list[float]]],
) -> list[tuple[object, ...]]:
    """Lay the scores out as rows of ml.predictions; of equally probable directions the first in order is taken."""
    model, version = production.version.model, production.version.version
    return [
        (
            model, version, row.symbol_id, production.timeframe, horizon, row.known_at, row.ts, row.targets[place],
            *quantiles[i][place], classes[max(range(len(classes)), key=probabilities[i][place].__getitem__)],
            *probabilities[i][place],
        )
        for i, row in enumerate(rows)
        for place, horizon in enumerate(production.horizons)
    ]  # fmt: skip
