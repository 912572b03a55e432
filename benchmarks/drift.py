"""How long a day's drift takes, beside numpy on the same rows.

Evidently, which took 14 s for the features alone, is not measured: 0.7.23 cannot be imported beside pandas 3.1.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
from sqlalchemy import text

from benchmarks.row import Row, seconds
from benchmarks.trained import DAILY, SESSIONS_AFTER_TRAINING, ensure_trained, sessions
from mlops.domain import Role
from mlops.drift import measure
from mlops.drift.thresholds import PSI_SMALLEST_SHARE
from mlops.forecasting import forecast
from mlops.outcomes import resolve
from mlops.warehouse import Warehouse
from mlops.warehouse.feature_sets import read_feature_set

_RUNS = 5
_WINDOW = timedelta(days=30)


def run(url: str) -> list[Row]:
    """Measure drift in the migrated database `url`; no rows where the data is absent.

    Ours is the whole run, 20 features, 4 predictions and the accuracy of each symbol, from the first query to commit.
    The alternative does the features only, in a warm process, and keeps nothing.
    """
    if not DAILY.exists():
        return []
    with Warehouse(url) as warehouse:
        ensure_trained(warehouse)
        days = sessions(warehouse, SESSIONS_AFTER_TRAINING)
        for day in days:
            forecast(warehouse, day)
        resolve(warehouse, days[-1])
        ours = seconds(lambda: measure(warehouse, days[-1]), runs=_RUNS, warmup=1)
        summary = measure(warehouse, days[-1])
        with_numpy = seconds(lambda: _numpy(warehouse, days[-1]), runs=_RUNS, warmup=1)
        difference = max(
            abs(psi - next(each.psi for each in summary.versions[0].features if each.feature == name))
            for name, psi in _numpy(warehouse, days[-1]).items()
        )
        _forget(warehouse)
    rows = summary.versions[0].features[0].n_current
    what = f"drift: 20 features x {rows:,} rows, 4 predictions, {len(summary.versions[0].symbols)} symbols"
    return [
        Row(what, ours, "s", "features only: rows to numpy", with_numpy, "at most 0.3 s", ours <= 0.3),
        Row(
            "largest difference from numpy", difference, "PSI", "the goal", 1e-12, "at most 1e-12", difference <= 1e-12
        ),
    ]


def _numpy(warehouse: Warehouse, as_of: datetime) -> dict[str, float]:
    with warehouse.begin() as connection:
        names = read_feature_set(connection, "technical").names
        query = text(
            f"SELECT {', '.join(names)} FROM features.technical WHERE as_of > :window_from AND as_of <= :as_of"
        )
        rows = connection.execute(query, {"window_from": as_of - _WINDOW, "as_of": as_of}).all()
        references = connection.execute(text("SELECT feature, edges, counts FROM ml.references")).all()
    values = np.array(rows, dtype=np.float64).astype(np.float32).astype(np.float64)
    found = {}
    for feature, edges, counts in references:
        if feature not in names:
            continue
        column = values[:, names.index(feature)]
        column = column[~np.isnan(column)]
        current = np.bincount(np.searchsorted(edges, column, side="right"), minlength=len(counts))
        expected = np.maximum(np.array(counts) / sum(counts), PSI_SMALLEST_SHARE)
        actual = np.maximum(current / current.sum(), PSI_SMALLEST_SHARE)
        found[feature] = float(np.sum((actual - expected) * np.log(actual / expected)))
    return found


def _forget(warehouse: Warehouse) -> None:
    with warehouse.begin(Role.OWNER) as connection:
        for table in ("ml.predictions", "monitoring.drift", "monitoring.feature_drift"):
            connection.execute(text(f"DELETE FROM {table}"))
