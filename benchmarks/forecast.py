"""How long a forecast of all symbols at all horizons takes: as a process of its own, and beside pandas in and out."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import text

from benchmarks.row import Row, seconds
from benchmarks.trained import DAILY, ensure_trained, sessions
from mlops.domain import Role
from mlops.forecasting import forecast
from mlops.warehouse import Warehouse

if TYPE_CHECKING:
    from mlops.scoring import Scorer

_RUNS = 5
_PROCESS = """
import json, sys, time
from datetime import datetime
from sqlalchemy import event
from sqlalchemy.engine import Engine
marks = {}
event.listen(Engine, "before_cursor_execute", lambda *_: marks.setdefault("first", time.time()))
event.listen(Engine, "commit", lambda _: marks.setdefault("commit", time.time()))
from mlops.cli.connect import open_warehouse
from mlops.forecasting import forecast
with open_warehouse(sys.argv[1]) as warehouse:
    summary = forecast(warehouse, datetime.fromisoformat(sys.argv[2]))
    ended = time.time()
only = summary.versions[0]
print(json.dumps({"first": marks["first"], "ended": ended, "scoring": only.scoring_seconds, "made": only.made,
                  "symbols": only.symbols}))
"""
_NEWEST = """
    SELECT DISTINCT ON (symbol_id) * FROM features.technical
    WHERE timeframe = 'd1' AND as_of <= %(as_of)s ORDER BY symbol_id, ts DESC
"""


def run(url: str) -> list[Row]:
    """Measure forecasts in the migrated database `url`; no rows where the data is absent.

    Each run is a fresh process that forecasts a moment that has no forecasts. "First query to commit" includes what it
    imports and loads on the way, the model's file among it.
    """
    if not DAILY.exists():
        return []
    with Warehouse(url) as warehouse:
        ensure_trained(warehouse)
        as_of = sessions(warehouse, 1)[0]
        measured = []
        for _ in range(_RUNS):
            _forget(warehouse)
            started = time.time()
            done = subprocess.run(
                [sys.executable, "-c", _PROCESS, url, as_of.isoformat()], capture_output=True, text=True, check=True
            )
            measured.append({**json.loads(done.stdout), "started": started})
        whole = statistics.median(each["ended"] - each["first"] for each in measured)
        scoring = statistics.median(each["scoring"] for each in measured)
        start = statistics.median(each["first"] - each["started"] for each in measured)
        made, symbols = measured[0]["made"], measured[0]["symbols"]
        warm, theirs = _warm(warehouse, as_of), _with_pandas(warehouse, as_of)
        _forget(warehouse)
    what = f"forecast {symbols} symbols, {made:,} forecasts, first query to commit"
    return [
        Row(what, whole, "s", "the goal", 2.0, "at most 2 s", whole <= 2),
        Row("the same in a warm process", warm, "s", "pandas in, score, pandas out", theirs, "faster", warm < theirs),
        Row("scoring itself", scoring, "s", "the goal", 0.1, "at most 0.1 s", scoring <= 0.1),
        Row("a forecast process up to its first query", start, "s", "the goal", 3.0, "at most 3 s", start <= 3),
    ]


def _warm(warehouse: Warehouse, as_of: datetime) -> float:
    times = []
    for _ in range(_RUNS):
        _forget(warehouse)
        times.append(seconds(lambda: forecast(warehouse, as_of)))
    return statistics.median(times)


def _with_pandas(warehouse: Warehouse, as_of: datetime) -> float:
    """Return the seconds of the same forecasts by pandas: no hash checked, no calendar, a table without a key."""
    from mlops.scoring import Scorer

    with warehouse.begin(role=None) as connection:
        scorer = Scorer(bytes(connection.execute(text("SELECT bytes FROM ml.artifacts LIMIT 1")).scalar_one()))
        connection.execute(text("CREATE TABLE public.plain_predictions (LIKE ml.predictions)"))
    try:
        return seconds(lambda: _forecast_with_pandas(warehouse, as_of, scorer), runs=3, warmup=1)
    finally:
        with warehouse.begin(role=None) as connection:
            connection.execute(text("DROP TABLE public.plain_predictions"))


def _forecast_with_pandas(warehouse: Warehouse, as_of: datetime, scorer: Scorer) -> None:
    import pandas as pd

    newest = pd.read_sql(_NEWEST, warehouse.engine, params={"as_of": as_of}).dropna(subset=list(scorer.feature_names))
    quantiles, probabilities = scorer.score(newest[list(scorer.feature_names)].to_numpy())
    parts = []
    for place, horizon in enumerate(scorer.horizons):
        part = newest[["symbol_id", "timeframe", "as_of", "ts"]].assign(
            model="plain", version=1, horizon=horizon, target_ts=newest["as_of"], made_at=pd.Timestamp.now("UTC")
        )
        part[["p10", "p50", "p90"]] = quantiles[:, place]
        part[["probability_bullish", "probability_neutral", "probability_bearish"]] = probabilities[:, place]
        part["direction"] = [scorer.classes[i] for i in probabilities[:, place].argmax(axis=1)]
        parts.append(part)
    pd.concat(parts).to_sql("plain_predictions", warehouse.engine, schema="public", if_exists="append", index=False)


def _forget(warehouse: Warehouse) -> None:
    with warehouse.begin(Role.OWNER) as connection:
        connection.execute(text("DELETE FROM ml.predictions"))
