"""Matrices of known making, for training without a database."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlops.modelling import Matrix
from mlops.spec import Spec
from mlops.training import parse_spec

NAMES = ("signal", "noise_1", "noise_2", "volatility")

SMALL: dict[str, dict[str, Any]] = {
    "hist_gradient_boosting": {"max_iter": 20, "max_leaf_nodes": 7, "min_samples_leaf": 50},
    "random_forest": {"n_estimators": 30, "max_leaf_nodes": 16, "min_samples_leaf": 50},
    "volatility_band": {"scale": "volatility", "bins": 5},
}
"""Hyperparameters of each family with which a `matrix` is fitted within a second."""


def matrix(
    *,
    signal: float,
    volatile: bool = False,
    dates: int = 200,
    symbols: int = 20,
    seed: int = 0,
    horizons: tuple[int, ...] = (1, 5),
) -> Matrix:
    """Return `dates` x `symbols` rows whose returns are `signal` times the first feature plus noise, all of size 0.01.

    70/15/15 by date. With signal 0 there is nothing to be learnt of the return. Where it is `volatile`, the noise is
    that times the last feature, which goes from 0.5 to 2; else that feature has nothing to do with it.
    """
    rng = np.random.default_rng(seed)
    n = dates * symbols
    features = rng.normal(size=(n, len(NAMES))).astype(np.float32)
    noise = rng.normal(size=(n, len(horizons)))
    features[:, -1] = 2 ** rng.uniform(-1, 1, size=n)
    if volatile:
        noise *= features[:, -1:]
    returns = 0.01 * (signal * features[:, :1].astype(np.float64) + noise)
    date = np.repeat(np.arange(dates), symbols)
    return Matrix(
        feature_names=NAMES,
        horizons=horizons,
        features=features,
        returns=returns,
        directions=np.where(returns > 0.005, 0, np.where(returns < -0.005, 2, 1)).astype(np.int8),
        subset=((date >= dates * 0.7).astype(np.int8) + (date >= dates * 0.85)).astype(np.int8),
        symbols=tuple(("XNYS", f"S{number:03}") for number in range(symbols)),
        symbol=np.tile(np.arange(symbols), dates).astype(np.int64),
        as_of=np.datetime64("2020-01-01", "us") + date.astype("timedelta64[D]"),
    )


def spec(*, family: str = "hist_gradient_boosting", horizons: tuple[int, ...] = (1, 5), **changes: object) -> Spec:
    """Return a specification that trains within a second; `changes` are of its keys, or of hyperparameters."""
    own = {name: changes.pop(name) for name in tuple(changes) if name not in Spec.model_fields}
    return parse_spec(
        {
            "model": "test_gbm",
            "candidate": "gbm",
            "family": family,
            "timeframe": "d1",
            "feature_set": "technical",
            "horizons": horizons,
            "seed": 7,
            "hyperparameters": SMALL[family] | own,
            "promotion": {"first": "production"},
            **changes,
        }
    )
