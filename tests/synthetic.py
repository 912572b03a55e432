"""Matrices of known making, for training without a database."""

from __future__ import annotations

import numpy as np

from mlops.modelling import Matrix
from mlops.spec import Spec

NAMES = ("signal", "noise_1", "noise_2", "noise_3")


def matrix(
    *, signal: float, dates: int = 200, symbols: int = 20, seed: int = 0, horizons: tuple[int, ...] = (1, 5)
) -> Matrix:
    """Return `dates` x `symbols` rows whose returns are `signal` times the first feature plus noise, all of size 0.01.

    70/15/15 by date. With signal 0 there is nothing to be learnt.
    """
    rng = np.random.default_rng(seed)
    n = dates * symbols
    features = rng.normal(size=(n, len(NAMES))).astype(np.float32)
    noise = rng.normal(size=(n, len(horizons)))
    returns = 0.01 * (signal * features[:, :1].astype(np.float64) + noise)
    date = np.repeat(np.arange(dates), symbols)
    return Matrix(
        feature_names=NAMES,
        horizons=horizons,
        features=features,
        returns=returns,
        directions=np.where(returns > 0.005, 0, np.where(returns < -0.005, 2, 1)).astype(np.int8),
        part=((date >= dates * 0.7).astype(np.int8) + (date >= dates * 0.85)).astype(np.int8),
        symbol_id=np.tile(np.arange(symbols), dates).astype(np.int64),
        as_of=np.datetime64("2020-01-01", "us") + date.astype("timedelta64[D]"),
    )


def spec(*, max_iter: int = 20, horizons: tuple[int, ...] = (1, 5), **changes: object) -> Spec:
    """Return a specification that trains within a second."""
    return Spec.model_validate(
        {
            "model": "test_gbm",
            "family": "hist_gradient_boosting",
            "timeframe": "d1",
            "feature_set": "technical",
            "horizons": horizons,
            "seed": 7,
            "hyperparameters": {"max_iter": max_iter, "max_leaf_nodes": 7, "min_samples_leaf": 50},
            **changes,
        }
    )
