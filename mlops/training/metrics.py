"""How good forecasts are, each metric beside the same metric of a naive forecast on the same rows.

A metric's entry is `{"model": ..., "naive": ..., "skill": ...}`. Skill is 1 - model / naive for a loss, as in
A. H. Murphy, "Skill Scores Based on the Mean Square Error" (Monthly Weather Review 116, 1988): 1 is perfect, 0 as good
as naive, negative worse. The naive forecasts know nothing but the train subset:

| metric | naive forecast |
|---|---|
| `mae`, `rmse` of p50 | zero return: in returns, "the last value stays"; beside it `train_median`, the train subset's |
| `pinball`, mean over the quantiles | the quantiles of the train subset |
| `coverage_80`, `band_width_80` | the band between the train subset's quantiles; the aim is 0.8, so there is no skill |
| `accuracy` of the likeliest direction | the majority class of the train subset; skill is that of 1 - accuracy |
| `log_loss` | the class frequencies of the train subset |

The rows of one date are not independent, nor are labels that overlap: `n` says how many rows there were and `dates`
how many days (UTC), which is nearer to the number of independent observations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlops.domain import QUANTILES
from mlops.modelling import Baseline, Matrix
from mlops.scoring import CLASSES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating]
    Ints = NDArray[np.integer]

PROBABILITY_FLOOR = 1e-15
"""Probabilities are clipped here before their logarithm is taken, as in scikit-learn's `log_loss` on float64."""

Metric = dict[str, float | None]


def pinball(actual: Floats, quantile: Floats | float, level: float) -> float:
    """Return the mean pinball loss of a forecast of the quantile `level` (0 to 1), in the unit of `actual`.

    R. Koenker and G. Bassett, "Regression Quantiles" (Econometrica 46, 1978): level * (y - q) above, (1 - level) *
    (q - y) below.
    """
    import numpy as np

    over = actual - quantile
    return float(np.mean(np.maximum(level * over, (level - 1.0) * over)))


def log_loss(classes: Ints, probabilities: Floats) -> float:
    """Return the mean negative log-likelihood, in nats, of `classes` [n] under `probabilities` [n, classes]."""
    import numpy as np

    of_actual = np.take_along_axis(probabilities.astype(np.float64), classes[:, None].astype(np.intp), axis=1)
    return float(-np.mean(np.log(np.clip(of_actual, PROBABILITY_FLOOR, 1.0))))


def skill(model: float, naive: float) -> float | None:
    """Return 1 - model / naive for a loss; None where the naive forecast makes no error at all."""
    return None if naive == 0 else 1.0 - model / naive


def evaluate(subset: Matrix, train: Matrix, quantiles: Floats, probabilities: Floats) -> dict[str, dict[str, Any]]:
    """Return the metrics of the forecasts for the rows of `subset`, by horizon (as text, as JSON has it) and name.

    Args:
        subset: the rows that were forecast.
        train: the rows that the naive forecasts know.
        quantiles: [n, horizons, quantiles] for the rows of `subset`, fractions.
        probabilities: [n, horizons, classes].
    """
    import numpy as np

    n_dates = len(np.unique(subset.as_of.astype("datetime64[D]")))
    return {
        str(horizon): {
            "n": len(subset),
            "dates": n_dates,
            **_of_returns(subset.returns[:, h], train.returns[:, h], quantiles[:, h, :].astype(np.float64)),
            **_of_directions(subset.directions[:, h], train.directions[:, h], probabilities[:, h, :]),
        }
        for h, horizon in enumerate(subset.horizons)
    }


def _of_returns(actual: Floats, train: Floats, forecast: Floats) -> dict[str, Metric]:
    import numpy as np

    naive_quantiles = np.quantile(train, QUANTILES)
    low, median, high = forecast.T
    naive_low, naive_median, naive_high = naive_quantiles
    mae, rmse = _mae(actual, median), _rmse(actual, median)
    naive_mae, naive_rmse = _mae(actual, 0.0), _rmse(actual, 0.0)
    losses = [pinball(actual, forecast[:, i], level) for i, level in enumerate(QUANTILES)]
    naive_losses = [pinball(actual, naive_quantiles[i], level) for i, level in enumerate(QUANTILES)]
    loss, naive_loss = float(np.mean(losses)), float(np.mean(naive_losses))
    return {
        "mae": {
            "model": mae,
            "naive": naive_mae,
            "skill": skill(mae, naive_mae),
            "train_median": _mae(actual, naive_median),
        },
        "rmse": {
            "model": rmse,
            "naive": naive_rmse,
            "skill": skill(rmse, naive_rmse),
            "train_median": _rmse(actual, naive_median),
        },
        "pinball": {"model": loss, "naive": naive_loss, "skill": skill(loss, naive_loss)},
        "coverage_80": {
            "model": float(np.mean((low <= actual) & (actual <= high))),
            "naive": float(np.mean((naive_low <= actual) & (actual <= naive_high))),
            "skill": None,
        },
        "band_width_80": {
            "model": float(np.mean(high - low)),
            "naive": float(naive_high - naive_low),
            "skill": None,
        },
    }


def _of_directions(actual: Ints, train: Ints, probabilities: Floats) -> dict[str, Metric]:
    import numpy as np

    frequencies = class_frequencies(train)
    accuracy = float(np.mean(probabilities.argmax(axis=1) == actual))
    naive_accuracy = float(np.mean(actual == frequencies.argmax()))
    loss = log_loss(actual, probabilities)
    naive_loss = log_loss(actual, np.broadcast_to(frequencies, (len(actual), len(CLASSES))))
    return {
        "accuracy": {
            "model": accuracy,
            "naive": naive_accuracy,
            "skill": skill(1.0 - accuracy, 1.0 - naive_accuracy),
        },
        "log_loss": {"model": loss, "naive": naive_loss, "skill": skill(loss, naive_loss)},
    }


def class_frequencies(directions: Ints) -> Floats:
    """Return how often each class occurs among `directions` [n], [classes], summing to 1."""
    import numpy as np

    return np.bincount(directions, minlength=len(CLASSES)) / len(directions)


def baselines(train: Matrix, validation_metrics: dict[str, dict[str, Any]]) -> tuple[Baseline, ...]:
    """Return what each horizon's realised accuracy is held against, by `evaluate` of the validation subset."""
    import numpy as np

    return tuple(
        Baseline(
            horizon=horizon,
            accuracy=validation_metrics[str(horizon)]["accuracy"]["model"],
            train_median=float(np.median(train.returns[:, h])),
            majority_class=CLASSES[int(class_frequencies(train.directions[:, h]).argmax())],
        )
        for h, horizon in enumerate(train.horizons)
    )


def _mae(actual: Floats, forecast: Floats | float) -> float:
    import numpy as np

    return float(np.mean(np.abs(actual - forecast)))


def _rmse(actual: Floats, forecast: Floats | float) -> float:
    import numpy as np

    return float(np.sqrt(np.mean(np.square(actual - forecast))))
