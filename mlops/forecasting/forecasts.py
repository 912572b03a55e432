"""Make the forecasts of one as-of: newest feature rows in, `ml.predictions` out, one transaction a version."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Row

from mlops.domain import ModelVersion
from mlops.exceptions import ForecastingError, GateClosedError, WarehouseUnreachableError
from mlops.forecasting.newest import Newest, Refusal, asked_symbols, read_newest, with_bars
from mlops.forecasting.serving import Serving, read_artifact, read_serving, refuse_hindsight
from mlops.warehouse import Warehouse, sql
from mlops.warehouse.copying import copy_rows
from mlops.warehouse.feature_sets import read_feature_set
from mlops.warehouse.locks import take_lock
from mlops.warehouse.statistics import gather_statistics

if TYPE_CHECKING:
    from mlops.scoring import Scorer

log = logging.getLogger(__name__)

_COLUMNS = (
    "model", "version", "symbol_id", "timeframe", "horizon", "as_of", "ts", "target_ts", "p10", "p50", "p90",
    "direction", "probability_bullish", "probability_neutral", "probability_bearish",
)  # fmt: skip

_LONGEST_ERROR = 2000


@dataclass(frozen=True, slots=True)
class VersionForecasts:
    """What one version did in a run, as counts.

    Attributes:
        role: `production`, or `challenger`.
        symbols: symbols that were forecast, each at all horizons.
        made: forecasts that are new.
        present: forecasts that had been made before and stay as they were.
        refused: how many symbols were not forecast, by the reason.
        scoring_seconds: time inside ONNX Runtime, its session's start not counted.
        error: why the version could not be asked, or could not answer; None where it did.
    """

    version: ModelVersion
    candidate: str
    role: str
    timeframe: str
    horizons: tuple[int, ...]
    symbols: int = 0
    made: int = 0
    present: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    scoring_seconds: float = 0.0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ForecastSummary:
    """What a forecast run did, one entry a version, production first. `as_of`: nothing known after it was used."""

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
    """One forecast as it is stored. Returns are fractions over the horizon; `as_of` and `target_ts` are UTC.

    `is_dated`: its bars go by their date, and not by a time of day.
    """

    ticker: str
    timeframe: str
    is_dated: bool
    horizon: int
    as_of: datetime
    target_ts: datetime
    p10: float
    p50: float
    p90: float
    direction: str
    probability: float
    version: ModelVersion


def forecast(warehouse: Warehouse, as_of: datetime, *, model: str | None = None) -> ForecastSummary:
    """Forecast every symbol of its universe with each version that serves, those in production first.

    Each version has a transaction and a row of ml.forecast_runs of its own, whatever becomes of it: one that is broken
    stops no other. A forecast that was made before is never rewritten, so that a second run for the same `as_of`, or
    one at the same time, changes nothing. A symbol is forecast from its newest row known at `as_of` or not at all,
    and why not stands in ml.refusals: where that row has a NULL there is no falling back to an older one.

    Args:
        warehouse: the database.
        as_of: UTC; no row known after it is used.
        model: forecast with this model only.

    Raises, once all have been asked, what a version in production failed by; a challenger's failure is in its row:
        NoProductionModelError: nothing (or nothing of `model`) is in production or challenges.
        GateClosedError: the newest check of one of the daily suites, of a version's timeframe, has failed; or some
            of these suites were checked and others never.
        ArtifactCorruptError: the version's bytes are not those that were registered.
        ForecastingError: a version knows the future of `as_of`, the features in the warehouse are not those that it
            was trained on, or the trading calendar does not reach to the end of the horizons.
    """
    with warehouse.begin() as connection:
        serving = read_serving(connection, model)
    asked: dict[object, Newest] = {}
    done: list[VersionForecasts] = []
    errors: list[Exception] = []
    for each in serving:
        began = time.perf_counter()
        try:
            done.append(_answer(warehouse, each, as_of, asked, began))
        except WarehouseUnreachableError:
            raise
        except Exception as error:
            done.append(_note_failure(warehouse, each, as_of, error, began))
            if each.in_production:
                errors.append(error)
            elif not isinstance(error, GateClosedError):  # which is closed for production, too
                log.warning("%s, a challenger, could not forecast: %s", each.version, error)
    gather_statistics(warehouse, "ml.predictions", sum(each.made for each in done))
    if errors:
        raise _of_all(errors)
    return ForecastSummary(as_of=as_of, versions=tuple(done))


def newest(warehouse: Warehouse, as_of: datetime, *, model: str | None = None) -> list[Forecast]:
    """Return the newest stored forecasts of the versions in production as of `as_of`, by ticker.

    Of all models in production or of `model`.
    """
    with warehouse.begin() as connection:
        rows = connection.execute(sql("forecasting", "newest_forecasts"), {"as_of": as_of, "model": model}).all()
    return [
        Forecast(
            ticker=row.ticker, timeframe=row.timeframe, is_dated=row.is_dated, horizon=row.horizon, as_of=row.as_of,
            target_ts=row.target_ts, p10=row.p10, p50=row.p50, p90=row.p90, direction=row.direction,
            probability=row.probability, version=ModelVersion(row.model, row.version),
        )
        for row in rows
    ]  # fmt: skip


def _answer(
    warehouse: Warehouse, serving: Serving, as_of: datetime, asked: dict[object, Newest], began: float
) -> VersionForecasts:
    """Let one version answer, in a transaction of its own. What versions are asked alike is read once, into `asked`."""
    run_id = uuid4()
    question = serving.feature_set, serving.timeframe, serving.horizons, serving.universe
    with warehouse.begin() as connection:
        scorer = _scorer(connection, serving)
        refuse_hindsight(connection, serving, as_of)
        # Before the rows: whoever publishes feature sets changes the catalogue first, too.
        places = _places(connection, scorer, serving)
        if question not in asked:
            asked[question] = read_newest(connection, serving, as_of)
        _require_usable(asked[question].rows, serving)
        rows, refused, seconds = _score(scorer, serving, asked[question], places)
        connection.execute(sql("forecasting", "stage"))
        copy_rows(connection, "forecasts_to_make", _COLUMNS, rows)
        # Whoever comes second waits here for the first to commit, and then finds the rows there.
        take_lock(connection, "ml.predictions")
        n_symbols = len(rows) // len(serving.horizons)
        made: int = connection.execute(
            sql("forecasting", "make"),
            _row_of_run(run_id, serving, as_of, began)
            | {
                "scoring_seconds": seconds,
                "provider": scorer.provider,
                "packages": json.dumps({"onnxruntime": scorer.runtime_version, "forecastle": _own_version()}),
                "n_symbols": n_symbols,
                "n_forecasts": len(rows),
                "n_refused": len(refused),
            },
        ).scalar_one()
        _refuse(connection, run_id, serving, refused)
    return replace(
        _asked(serving, refused), symbols=n_symbols, made=made, present=len(rows) - made, scoring_seconds=seconds
    )


def _note_failure(
    warehouse: Warehouse, serving: Serving, as_of: datetime, error: Exception, began: float
) -> VersionForecasts:
    """Keep that a version did not answer, and why; where the gate is closed, with each symbol that was asked for."""
    run_id = uuid4()
    said = str(error) or type(error).__name__
    is_gate = isinstance(error, GateClosedError)
    with warehouse.begin() as connection:
        asked = asked_symbols(connection, serving, as_of) if is_gate else []
        refused = dict.fromkeys(with_bars(connection, asked, serving.timeframe, as_of), Refusal.GATE)
        connection.execute(
            sql("forecasting", "not_made"),
            _row_of_run(run_id, serving, as_of, began)
            | {
                "status": "refused" if is_gate else "failed",
                "n_refused": len(refused),
                "error": said[:_LONGEST_ERROR],
            },
        )
        _refuse(connection, run_id, serving, refused)
    return replace(_asked(serving, refused), error=said)


def _asked(serving: Serving, refused: Mapping[int, Refusal]) -> VersionForecasts:
    return VersionForecasts(
        version=serving.version,
        candidate=serving.candidate,
        role=serving.role,
        timeframe=serving.timeframe,
        horizons=serving.horizons,
        refused=Counter(reason.value for reason in refused.values()),
    )


def _row_of_run(run_id: UUID, serving: Serving, as_of: datetime, began: float) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "model": serving.version.model,
        "version": serving.version.version,
        "role": serving.role,
        "as_of": as_of,
        "seconds": time.perf_counter() - began,
    }


@cache
def _own_version() -> str:
    try:
        return version("forecastle")
    except PackageNotFoundError:  # it may run from its sources
        return "unknown"


def _refuse(connection: Connection, run_id: UUID, serving: Serving, refused: Mapping[int, Refusal]) -> None:
    if refused:
        connection.execute(
            sql("forecasting", "refuse"),
            {
                "run_id": run_id,
                "symbol_ids": list(refused),
                "reasons": [reason.value for reason in refused.values()],
                "horizons": list(serving.horizons),
            },
        )


def _of_all(errors: Sequence[Exception]) -> Exception:
    """Return what to raise for the failures of several models: the one error, or one that says all."""
    said = dict.fromkeys(str(error) for error in errors)
    if len(said) == 1:
        return errors[0]
    kind = GateClosedError if all(isinstance(error, GateClosedError) for error in errors) else ForecastingError
    lines = "\n".join(said)
    return kind(f"{len(errors)} models in production could not forecast.\n{lines}", errors=tuple(errors))


def _scorer(connection: Connection, serving: Serving) -> Scorer:
    """Return the version, ready to score. Raises where its file is not what was registered."""
    from mlops.scoring import Scorer

    scorer = Scorer(read_artifact(connection, serving))
    made_for = scorer.horizons, scorer.feature_set, scorer.feature_set_version
    if made_for != (serving.horizons, serving.feature_set, serving.feature_set_version):
        raise ForecastingError(
            f"The model file of {serving.version} was made for horizons {list(scorer.horizons)} and feature set "
            f"{scorer.feature_set} {scorer.feature_set_version}, its version row says {list(serving.horizons)} and "
            f"{serving.feature_set} {serving.feature_set_version}. Train again and let the new version take over.",
            version=serving.version,
        )
    return scorer


def _places(connection: Connection, scorer: Scorer, serving: Serving) -> list[int]:
    """Return where in a row of features.vectors the inputs of the model stand."""
    there = read_feature_set(connection, serving.feature_set).names
    unknown = [name for name in scorer.feature_names if name not in there]
    if unknown:
        raise ForecastingError(
            f"{serving.version} takes features that the warehouse does not have: {', '.join(unknown)}.",
            version=serving.version,
        )
    return [there.index(name) for name in scorer.feature_names]


def _require_usable(rows: Sequence[Row[Any]], serving: Serving) -> None:
    """Refuse features of another version, and symbols that the calendar cannot place."""
    other = {row.feature_set_version for row in rows} - {serving.feature_set_version}
    if other:
        raise ForecastingError(
            f"{serving.version} was trained on feature set {serving.feature_set_version}, and the warehouse has "
            f"{', '.join(sorted(other))}. Train it again: `forecastle train "
            f"{serving.version.model}/{serving.candidate}`.",
            version=serving.version,
        )
    lost = {row.exchange for row in rows if row.targets is None or None in row.targets}
    if lost:
        raise ForecastingError(
            f"The trading calendar of {', '.join(sorted(lost))} does not reach from the newest bar to "
            f"{max(serving.horizons)} bars ahead. `forecastle ingest bars` of newer bars extends it.",
            exchanges=sorted(lost),
        )


def _score(
    scorer: Scorer, serving: Serving, asked: Newest, places: Sequence[int]
) -> tuple[list[tuple[object, ...]], dict[int, Refusal], float]:
    """Score the rows in one run of the model; return rows of ml.predictions, who has none and why, and the seconds."""
    import numpy as np

    features = np.array([[row.features[place] for place in places] for row in asked.rows], dtype=np.float64).reshape(
        len(asked.rows), len(places)
    )
    complete = np.asarray(np.isfinite(features).all(axis=1))
    started = time.perf_counter()
    quantiles, probabilities = scorer.score(features[complete])
    seconds = time.perf_counter() - started
    usable = [row for row, whole in zip(asked.rows, complete, strict=True) if whole]
    incomplete = {
        row.symbol_id: Refusal.INCOMPLETE for row, whole in zip(asked.rows, complete, strict=True) if not whole
    }
    rows = _prediction_rows(serving, scorer.classes, usable, quantiles.tolist(), probabilities.tolist())
    return rows, {**asked.refused, **incomplete}, seconds


def _prediction_rows(
    serving: Serving,
    classes: tuple[str, ...],
    rows: Sequence[Row[Any]],
    quantiles: list[list[list[float]]],
    probabilities: list[list[list[float]]],
) -> list[tuple[object, ...]]:
    """Lay the scores out as rows of ml.predictions; of equally probable directions the first in order is taken."""
    model, version = serving.version.model, serving.version.version
    return [
        (
            model, version, row.symbol_id, serving.timeframe, horizon, row.known_at, row.ts, row.targets[place],
            *quantiles[i][place], classes[max(range(len(classes)), key=probabilities[i][place].__getitem__)],
            *probabilities[i][place],
        )
        for i, row in enumerate(rows)
        for place, horizon in enumerate(serving.horizons)
    ]  # fmt: skip
