"""Every model family, found by its module: what the contract promises holds, and each finds what it is made to find."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import NAMES, SMALL, matrix, spec

from mlops.domain import QUANTILES
from mlops.exceptions import SpecError, TrainingError
from mlops.modelling import Matrix, ModelInput, Subset
from mlops.scoring import Scorer
from mlops.training import family, family_names, train
from mlops.training.artifact import LARGEST
from mlops.training.families import random_forest, volatility_band
from mlops.training.family import FittedModel
from mlops.training.parity import TOLERANCE

INPUTS = ModelInput("features", "row", "technical", "technical-1", NAMES)


def fitted(name: str, data: Matrix, **changes: object) -> FittedModel:
    declared = spec(family=name, **changes)
    return family(name).fit(
        data.of(Subset.TRAIN),
        data.of(Subset.VALIDATION),
        declared.hyperparameters,
        declared.seed,
        lambda done, total: None,
    )


def test_each_module_is_a_family_and_has_small_settings_for_these_tests() -> None:
    assert family_names() == tuple(sorted(SMALL))


def test_an_unknown_family_is_refused_by_name() -> None:
    with pytest.raises(TrainingError, match="no model family 'crystal_ball'; there is hist_gradient_boosting, random_"):
        family("crystal_ball")


@pytest.mark.parametrize("name", family_names())
def test_no_family_brings_its_library_before_it_is_fitted(name: str) -> None:
    code = (
        f"import sys; from mlops.training import family; family({name!r});"
        "print([each for each in ('sklearn', 'scipy', 'onnx', 'numpy', 'pandas') if each in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("name", family_names())
def test_every_hyperparameter_is_bounded_and_described(name: str) -> None:
    for key, field in family(name).hyperparameters.model_json_schema()["properties"].items():
        assert field["description"], key
        if field["type"] in {"integer", "number"}:
            assert "maximum" in field or "exclusiveMaximum" in field, key
        else:
            assert "maxLength" in field, key


@pytest.mark.parametrize("name", family_names())
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_export_says_what_the_model_says_of_rows_that_training_never_saw(name: str, seed: int) -> None:
    native = fitted(name, matrix(signal=0.5, volatile=True))
    rows = matrix(signal=0.5, dates=500, seed=100 + seed).features * np.float32(2)
    quantiles, probabilities = Scorer(native.export(INPUTS)).score(rows)
    expected_quantiles, expected_probabilities = native.predict(rows)
    assert np.abs(quantiles - expected_quantiles).max() < TOLERANCE
    assert np.abs(probabilities - expected_probabilities).max() < TOLERANCE
    assert (np.diff(quantiles, axis=2) >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=2), 1, atol=1e-6)


@pytest.mark.parametrize("name", family_names())
def test_a_wide_band_is_found_where_returns_are_volatile(name: str) -> None:
    data = matrix(signal=0.0, volatile=True, dates=400)
    model = train(spec(family=name), data, "technical-1")
    for subset in ("validation", "test"):
        for entry in model.metrics[subset].values():
            assert entry["pinball"]["skill"] > 0.02
            assert entry["log_loss"]["skill"] > 0.01
            assert 0.76 < entry["coverage_80"]["model"] < 0.84
    assert max(model.importances, key=lambda name: model.importances[name]) == "volatility"


@pytest.mark.parametrize("name", family_names())
def test_nothing_is_found_in_noise(name: str) -> None:
    model = train(spec(family=name), matrix(signal=0.0), "technical-1")
    for subset in ("validation", "test"):
        for entry in model.metrics[subset].values():
            assert max(entry[each]["skill"] or 0 for each in ("mae", "rmse", "pinball", "accuracy", "log_loss")) < 0.04


@pytest.mark.parametrize("name", family_names())
def test_what_is_fitted_does_not_depend_on_what_comes_later(name: str) -> None:
    data = matrix(signal=0.5)
    later = data.subset > 0
    other = replace(
        data,
        features=np.where(later[:, None], np.float32(0.7), data.features),
        returns=np.where(later[:, None], -data.returns, data.returns),
        directions=np.where(later[:, None], 1, data.directions).astype(np.int8),
    )
    assert fitted(name, data).export(INPUTS) == fitted(name, other).export(INPUTS)


@pytest.mark.parametrize("name", family_names())
def test_the_same_rows_and_seed_give_the_same_bytes(name: str) -> None:
    data = matrix(signal=0.5)
    assert fitted(name, data).export(INPUTS) == fitted(name, data).export(INPUTS)


@pytest.mark.parametrize("name", family_names())
def test_importances_are_shares_of_all_features(name: str) -> None:
    importances = fitted(name, matrix(signal=1.0)).importances()
    assert tuple(importances) == NAMES
    assert sum(importances.values()) == pytest.approx(1)


@pytest.mark.parametrize("name", family_names())
def test_progress_is_told_to_its_end(name: str) -> None:
    told: list[tuple[str, int, int]] = []
    train(spec(family=name), matrix(signal=0.5), "1", lambda what, done, total: told.append((what, done, total)))
    steps = [(done, total) for what, done, total in told if what == "fit"]
    assert steps == sorted(steps)
    assert steps[-1][0] == steps[-1][1]


def test_boosting_notes_a_falling_loss_where_there_is_a_signal_and_none_in_noise() -> None:
    history = fitted("hist_gradient_boosting", matrix(signal=1.0)).history()
    for name in ("pinball", "log_loss"):
        assert history[-1][name] < history[0][name]


def test_the_leaves_of_the_forest_hold_the_quantiles_and_frequencies_of_their_rows() -> None:
    """By NumPy, leaf by leaf, as the slow way would."""
    data = matrix(signal=0.5, volatile=True)
    rows = data.of(Subset.TRAIN)
    native = fitted("random_forest", data, n_estimators=2)
    assert isinstance(native, random_forest.FittedForest)
    for grown, values in zip(native.forest.estimators_, native.values, strict=True):
        leaves = grown.tree_.apply(rows.features)
        assert len(np.unique(leaves)) > 3
        for leaf in np.unique(leaves):
            inside = leaves == leaf
            for h in range(2):
                quantiles = np.quantile(rows.returns[inside, h], QUANTILES)
                np.testing.assert_allclose(values[leaf, h * 3 : h * 3 + 3], quantiles, rtol=1e-12, atol=1e-15)
                frequencies = np.bincount(rows.directions[inside, h], minlength=3) / inside.sum()
                np.testing.assert_allclose(values[leaf, 6 + h * 3 : 9 + h * 3], frequencies, rtol=1e-12)


def test_the_largest_forest_that_a_specification_may_ask_for_fits_its_table() -> None:
    declared = spec(family="random_forest", n_estimators=100, max_leaf_nodes=150, min_samples_leaf=1, rows_a_tree=3000)
    data = matrix(signal=0.5, dates=400, horizons=(1, 5, 10, 20))
    model = train(declared.model_copy(update={"horizons": data.horizons}), data, "technical-1")
    assert 3 * 2**20 < len(model.artifact) < LARGEST


def test_a_larger_forest_is_refused_before_it_is_grown() -> None:
    with pytest.raises(SpecError, match="n_estimators times max_leaf_nodes should be at most 15,000"):
        spec(family="random_forest", n_estimators=200, max_leaf_nodes=128)


def test_the_band_is_the_scale_times_quantiles_and_the_direction_has_the_frequencies_at_that_scale() -> None:
    data = matrix(signal=0.0, volatile=True)
    rows = data.of(Subset.TRAIN)
    scale = rows.features[:, -1].astype(float)
    quantiles, probabilities = Scorer(fitted("volatility_band", data).export(INPUTS)).score(rows.features)
    low, _, high = np.quantile(rows.returns[:, 1] / scale, QUANTILES)
    np.testing.assert_allclose(quantiles[:, 1, 0], low * scale, rtol=1e-5)
    assert (quantiles[:, :, 1] == 0).all()
    np.testing.assert_allclose(quantiles[:, 1, 2], high * scale, rtol=1e-5)
    calm, wild = scale < np.quantile(scale, 0.2), scale > np.quantile(scale, 0.8)
    for chosen in (calm, wild):
        frequencies = np.bincount(rows.directions[chosen, 1], minlength=3) / chosen.sum()
        np.testing.assert_allclose(probabilities[chosen, 1].mean(axis=0), frequencies, atol=0.005)
    assert probabilities[calm, 1, 1].mean() > probabilities[wild, 1, 1].mean() + 0.1


@settings(max_examples=30, deadline=None)
@given(
    scale=st.lists(st.floats(0, 3, width=32), min_size=40, max_size=40).filter(lambda each: sorted(each)[20] > 0),
    bins=st.integers(1, 60),
)
def test_the_band_parts_any_scale_as_its_export_does(scale: list[float], bins: int) -> None:
    data = matrix(signal=0.0, dates=4, symbols=20)
    features = data.features.copy()
    features[:, -1] = np.tile(np.float32(scale), 2)
    native = fitted("volatility_band", replace(data, features=features, subset=np.zeros(80, dtype=np.int8)), bins=bins)
    rows = np.concatenate([features, native.probes(features[0])])
    quantiles, probabilities = Scorer(native.export(INPUTS)).score(rows)
    expected = native.predict(rows)
    np.testing.assert_allclose(quantiles, expected[0], atol=TOLERANCE)
    np.testing.assert_allclose(probabilities, expected[1], atol=TOLERANCE)


def test_no_band_goes_below_the_loss_of_everything() -> None:
    native = fitted("volatility_band", matrix(signal=0.0, volatile=True))
    rows = np.zeros((1, len(NAMES)), dtype=np.float32)
    rows[0, -1] = 1e6
    quantiles, _ = Scorer(native.export(INPUTS)).score(rows)
    assert quantiles[0, 0, 0] == np.float32(volatility_band.LOWEST)


@pytest.mark.parametrize(
    ("scale", "told"), [("atr_41", "'atr_41' is none of the features: signal, noise_1"), ("signal", "is negative in")]
)
def test_a_scale_that_says_nothing_of_volatility_is_refused(scale: str, told: str) -> None:
    with pytest.raises(TrainingError, match=told):
        fitted("volatility_band", matrix(signal=0.0), scale=scale)
