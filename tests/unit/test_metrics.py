"""Each metric against scikit-learn, and the tables against numbers worked out by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from synthetic import matrix

from mlops.domain import QUANTILES
from mlops.modelling import Matrix, Subset
from mlops.training import metrics
from mlops.training.references import describe, references

RETURNS = arrays.arrays(np.float64, st.integers(1, 60), elements=st.floats(-0.5, 0.5))


@given(actual=RETURNS, level=st.sampled_from([0.1, 0.5, 0.9]), shift=st.floats(-0.3, 0.3))
def test_pinball_equals_scikit_learns(actual: np.ndarray, level: float, shift: float) -> None:
    forecast = actual[::-1] + shift
    expected = sklearn.metrics.mean_pinball_loss(actual, forecast, alpha=level)
    assert metrics.pinball(actual, forecast, level) == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 2), st.floats(0.0, 1.0), st.floats(0.0, 1.0)), min_size=1, max_size=40))
def test_log_loss_equals_scikit_learns(rows: list[tuple[int, float, float]]) -> None:
    classes = np.array([row[0] for row in rows])
    raw = np.array([[row[1], row[2], 0.5] for row in rows])
    probabilities = raw / raw.sum(axis=1, keepdims=True)
    expected = sklearn.metrics.log_loss(classes, np.clip(probabilities, 1e-15, 1), labels=[0, 1, 2])
    assert metrics.log_loss(classes, probabilities) == pytest.approx(expected, rel=1e-6)


def hand_worked() -> tuple[Matrix, Matrix]:
    """Four rows to judge and ten to know: returns -4 .. 5 % in train, of which 5 BULLISH, 1 NEUTRAL, 4 BEARISH."""
    whole = matrix(signal=0.0, dates=14, symbols=1, horizons=(1,))
    train_returns = np.arange(-4, 6) / 100
    part_returns = np.array([0.02, -0.01, 0.00, 0.06])

    def with_labels(returns: np.ndarray, rows: slice) -> Matrix:
        return Matrix(
            feature_names=whole.feature_names,
            horizons=(1,),
            features=whole.features[rows],
            returns=returns[:, None],
            directions=np.where(returns > 0, 0, np.where(returns < 0, 2, 1)).astype(np.int8)[:, None],
            subset=whole.subset[rows],
            symbols=whole.symbols,
            symbol=whole.symbol[rows],
            as_of=whole.as_of[rows],
        )

    return with_labels(train_returns, slice(0, 10)), with_labels(part_returns, slice(10, 14))


def test_a_worked_example() -> None:
    train, subset = hand_worked()
    quantiles = np.tile(np.float32([-0.02, 0.01, 0.03]), (4, 1, 1))
    probabilities = np.tile(np.float32([0.5, 0.2, 0.3]), (4, 1, 1))
    entry = metrics.evaluate(subset, train, quantiles, probabilities)["1"]
    assert (entry["n"], entry["dates"]) == (4, 4)
    # |0.02-0.01| + |-0.01-0.01| + |0-0.01| + |0.06-0.01| = 0.09; against zero 0.02 + 0.01 + 0 + 0.06 = 0.09
    assert entry["mae"]["model"] == pytest.approx(0.0225, abs=1e-7)
    assert entry["mae"]["naive"] == pytest.approx(0.0225)
    assert entry["mae"]["skill"] == pytest.approx(0.0, abs=1e-6)
    # the median of -4 .. 5 % is 0.5 %: 0.015 + 0.015 + 0.005 + 0.055
    assert entry["mae"]["train_median"] == pytest.approx(0.0225)
    assert entry["rmse"]["model"] == pytest.approx(np.sqrt((1 + 4 + 1 + 25) * 1e-4 / 4), rel=1e-5)
    assert entry["rmse"]["naive"] == pytest.approx(np.sqrt((4 + 1 + 0 + 36) * 1e-4 / 4))
    # 0.06 lies above the band; the deciles of train are -3.1 % and 4.1 %, and 0.06 lies above those, too
    assert (entry["coverage_80"]["model"], entry["coverage_80"]["naive"]) == (0.75, 0.75)
    assert entry["band_width_80"]["model"] == pytest.approx(0.05, rel=1e-6)
    assert entry["band_width_80"]["naive"] == pytest.approx(0.072)
    # BULLISH is forecast four times and came true twice, as it is for the majority class
    assert (entry["accuracy"]["model"], entry["accuracy"]["naive"], entry["accuracy"]["skill"]) == (0.5, 0.5, 0.0)
    # BULLISH twice, BEARISH once, NEUTRAL once
    assert entry["log_loss"]["model"] == pytest.approx(-np.log([0.5, 0.5, 0.3, 0.2]).mean(), rel=1e-6)
    assert entry["log_loss"]["naive"] == pytest.approx(-np.log([0.5, 0.5, 0.4, 0.1]).mean())
    naive = np.quantile(train.returns[:, 0], QUANTILES)
    losses = [metrics.pinball(subset.returns[:, 0], naive[i], level) for i, level in enumerate(QUANTILES)]
    assert entry["pinball"]["naive"] == pytest.approx(np.mean(losses))


def test_a_perfect_forecast_has_skill_one_and_the_naive_forecast_none() -> None:
    train, subset = hand_worked()
    perfect = np.repeat(subset.returns[:, :, None], 3, axis=2)
    certain = np.eye(3)[subset.directions.astype(int)]
    entry = metrics.evaluate(subset, train, perfect, certain)["1"]
    skills = [entry[name]["skill"] for name in ("mae", "rmse", "pinball", "accuracy", "log_loss")]
    assert skills == pytest.approx([1, 1, 1, 1, 1])
    naive = np.tile(np.quantile(train.returns[:, 0], QUANTILES), (4, 1, 1))
    frequencies = np.tile([0.5, 0.1, 0.4], (4, 1, 1))
    entry = metrics.evaluate(subset, train, naive, frequencies)["1"]
    assert [entry[name]["skill"] for name in ("pinball", "accuracy", "log_loss")] == pytest.approx([0, 0, 0])


def test_skill_is_none_where_naive_makes_no_error() -> None:
    assert metrics.skill(0.1, 0.0) is None


@given(
    arrays.arrays(np.float32, st.integers(1, 300), elements=st.floats(-2, 2, width=16)),
)
def test_a_reference_counts_each_value_once_in_the_bin_that_it_says(values: np.ndarray) -> None:
    reference = describe("x", values)
    edges = [-np.inf, *reference.edges, np.inf]
    assert list(reference.edges) == sorted(set(reference.edges))
    counted = [sum(low <= value < high for value in values.tolist()) for low, high in pairwise(edges)]
    assert counted == list(reference.counts)
    assert sum(reference.counts) == len(values)


def test_a_reference_of_distinct_values_has_ten_bins_of_a_tenth() -> None:
    reference = describe("x", np.arange(1000, dtype=np.float32))
    assert len(reference.edges) == 9
    assert max(reference.counts) - min(reference.counts) <= 2


def test_there_is_a_reference_for_each_feature_and_each_horizons_median() -> None:
    whole = matrix(signal=0.0)
    medians = np.random.default_rng(1).normal(size=(100, 2)).astype(np.float32)
    found = references(whole.of(Subset.TRAIN), medians)
    assert [each.feature for each in found] == [*whole.feature_names, "p50_h1", "p50_h5"]
    assert sum(found[0].counts) == len(whole.of(Subset.TRAIN))
    assert sum(found[-1].counts) == 100


def test_baselines_are_of_validation_and_train() -> None:
    train, _ = hand_worked()
    entry = {"1": {"accuracy": {"model": 0.53}}}
    (baseline,) = metrics.baselines(train, entry)
    assert (baseline.horizon, baseline.accuracy, baseline.majority_class) == (1, 0.53, "BULLISH")
    assert baseline.train_median == pytest.approx(0.005)
