"""What a model learns, that its export says the same, and that the bytes can be made again."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import NAMES, matrix, spec

from mlops.domain import QUANTILES
from mlops.exceptions import ParityError, ScoringError
from mlops.modelling import Matrix, ModelInput, Subset
from mlops.scoring import Scorer
from mlops.training import train
from mlops.training.families import hist_gradient_boosting
from mlops.training.parity import TOLERANCE, golden_set, require_parity
from mlops.training.trees import Tree, TreeSums, round_down, to_onnx

FINITE32 = st.floats(width=32, allow_nan=False, allow_infinity=False, max_value=2.0**100, min_value=-(2.0**100))


INPUTS = ModelInput("features", "row", "technical", "technical-1", NAMES)


def fitted(data: Matrix, **changes: float) -> hist_gradient_boosting.FittedBoosting:
    given = {"max_iter": 10, "learning_rate": 0.1, "max_leaf_nodes": 7, "min_samples_leaf": 20} | changes
    return hist_gradient_boosting.HistGradientBoosting().fit(
        data.of(Subset.TRAIN),
        data.of(Subset.VALIDATION),
        hist_gradient_boosting.Hyperparameters.model_validate(given),
        7,
        lambda done, total: None,
    )


def skills(model: object, subset: str, name: str) -> list[float]:
    return [entry[name]["skill"] for entry in model.metrics[subset].values()]  # type: ignore[attr-defined]


def test_a_planted_signal_is_found() -> None:
    model = train(spec(max_iter=40), matrix(signal=1.0), "technical-1")
    for subset in ("validation", "test"):
        assert min(skills(model, subset, "mae")) > 0.2
        assert min(skills(model, subset, "pinball")) > 0.2
        assert min(skills(model, subset, "accuracy")) > 0.15
        assert min(skills(model, subset, "log_loss")) > 0.1
        assert all(0.7 < entry["coverage_80"]["model"] < 0.9 for entry in model.metrics[subset].values())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_is_found_in_noise(seed: int) -> None:
    """Whatever beats the naive forecasts on labels that nothing foretells has seen the answers."""
    model = train(spec(), matrix(signal=0.0, seed=seed), "technical-1")
    for subset in ("validation", "test"):
        for name in ("mae", "rmse", "pinball", "accuracy", "log_loss"):
            assert max(skills(model, subset, name)) < 0.04, (subset, name)


def test_nothing_is_found_once_labels_are_shuffled() -> None:
    honest = matrix(signal=1.0)
    order = np.random.default_rng(5).permutation(len(honest))
    shuffled = replace(honest, returns=honest.returns[order], directions=honest.directions[order])
    model = train(spec(), shuffled, "technical-1")
    assert max(skills(model, "test", "mae")) < 0.04
    assert max(skills(model, "test", "log_loss")) < 0.04


def test_parts_are_judged_apart() -> None:
    """Only the test subset's labels are turned round: validation has skill, test has none."""
    honest = matrix(signal=1.0)
    turned = honest.returns.copy()
    turned[honest.subset == 2] *= -1
    model = train(spec(), replace(honest, returns=turned), "technical-1")
    assert min(skills(model, "validation", "mae")) > 0.1
    assert max(skills(model, "test", "mae")) < -0.1


def test_what_is_trained_does_not_depend_on_validation_or_test() -> None:
    honest = matrix(signal=1.0)
    later = honest.subset > 0
    features, returns, directions = honest.features.copy(), honest.returns.copy(), honest.directions.copy()
    features[later] += 1
    returns[later] -= 1
    directions[later] = 0
    other = replace(honest, features=features, returns=returns, directions=directions)
    assert train(spec(), honest, "technical-1").artifact == train(spec(), other, "technical-1").artifact


def test_the_export_says_what_the_model_says() -> None:
    data = matrix(signal=0.5)
    native = fitted(data)
    artifact = native.export(INPUTS)
    quantiles, probabilities = Scorer(artifact).score(data.features)
    expected_quantiles, expected_probabilities = native.predict(data.features)
    assert np.abs(quantiles - expected_quantiles).max() < TOLERANCE
    assert np.abs(probabilities - expected_probabilities).max() < TOLERANCE


def test_native_predictions_are_those_of_the_estimators() -> None:
    data = matrix(signal=0.5)
    native = fitted(data)
    quantiles, probabilities = native.predict(data.features[:50])
    for h in range(2):
        each = np.stack([regressor.predict(data.features[:50]) for regressor in native.regressors[h]], axis=1)
        assert (quantiles[:, h] == np.sort(each, axis=1)).all()
        classifier = native.classifiers[h]
        assert classifier is not None
        assert (probabilities[:, h] == classifier.predict_proba(data.features[:50])).all()


def test_an_export_that_says_something_else_is_refused_with_the_difference() -> None:
    data = matrix(signal=0.5)
    native = fitted(data)
    golden = golden_set(data, native)
    assert require_parity(native, native.export(INPUTS), golden) < TOLERANCE
    bases = native.sums.bases.copy()
    bases[1 * 3 + 2] += 3e-5
    off = to_onnx(replace(native.sums, bases=bases), INPUTS)
    with pytest.raises(ParityError, match=r"differs from the trained one by 3\.00e-05 in quantiles"):
        require_parity(native, off, golden)


def test_the_golden_set_stands_on_thresholds_and_reaches_the_extremes() -> None:
    data = matrix(signal=0.5)
    native = fitted(data)
    golden = golden_set(data, native)
    assert golden.dtype == np.float32
    tree = next(tree for tree in native.sums.trees if not tree.leaf[0])
    column = int(tree.feature[0])
    assert (np.isin(golden[:, column], round_down(tree.threshold[:1]))).any() or len(golden) > 512
    train_subset = data.of(Subset.TRAIN).features
    assert (golden.min(axis=0) <= train_subset.min(axis=0)).all()
    assert (golden.max(axis=0) >= train_subset.max(axis=0)).all()
    assert (golden_set(data, native) == golden).all()


@given(threshold=st.floats(-(2.0**100), 2.0**100), value=FINITE32)
def test_a_threshold_rounded_down_decides_every_float32_as_before(threshold: float, value: float) -> None:
    rounded = round_down(np.array([threshold]))[0]
    near = np.nextafter(np.float32(threshold), np.float32([-np.inf, np.inf]), dtype=np.float32)
    for x in (np.float32(value), np.float32(threshold), *near):
        assert (float(x) <= threshold) == bool(x <= rounded)


def stump(target: int, threshold: float, left: float, right: float) -> Tree:
    return Tree(
        feature=np.array([0, 0, 0]),
        threshold=np.array([threshold, 0.0, 0.0]),
        left=np.array([1, 0, 0]),
        right=np.array([2, 0, 0]),
        leaf=np.array([False, True, True]),
        values=np.array([[0.0], [left], [right]]),
        first=target,
    )


def by_hand(threshold: float, leaves: list[tuple[float, float]], bases: Sequence[float] = (0, 0, 0)) -> bytes:
    """Return the file of a model of one horizon: a stump a quantile, on the first feature, and no trees for classes."""
    trees = [stump(target, threshold, *values) for target, values in enumerate(leaves)]
    return to_onnx(TreeSums((1,), np.array([*bases, 0, 0, 0], dtype=float), trees, softmax=True), INPUTS)


STUMPS = by_hand(0.0, [(0, 1)] * 3)


def test_a_threshold_between_two_neighbouring_floats_parts_them_after_the_export() -> None:
    """Rounded to the nearest, half of these thresholds would move up to the greater neighbour and let it go left."""
    low = np.float32([1.0, 1.1, 1.3, 1.7, 2.3, 3.1])
    high = np.nextafter(low, np.float32(np.inf), dtype=np.float32)
    for below, above in zip(low, high, strict=True):
        middle = (float(below) + float(above)) / 2
        scorer = Scorer(by_hand(middle, [(-0.5, 0.5)] * 3))
        rows = np.zeros((2, len(NAMES)), dtype=np.float32)
        rows[:, 0] = below, above
        quantiles, _ = scorer.score(rows)
        assert quantiles[:, 0, 0].tolist() == [-0.5, 0.5]


def test_crossing_quantiles_are_rearranged() -> None:
    artifact = by_hand(0.0, [(0, 0), (0, 0), (0, 1)], bases=(0.3, 0.1, 0.2))
    rows = np.zeros((2, len(NAMES)), dtype=np.float32)
    rows[1, 0] = 1.0
    quantiles, probabilities = Scorer(artifact).score(rows)
    np.testing.assert_allclose(quantiles[:, 0], [[0.1, 0.2, 0.3], [0.1, 0.3, 1.2]], atol=1e-6)
    np.testing.assert_allclose(probabilities, 1 / 3, atol=1e-6)


@pytest.mark.parametrize("classes", [[0, 2], [1], [1, 2], [2]])
def test_a_class_that_training_never_saw_has_probability_zero(classes: list[int]) -> None:
    data = matrix(signal=0.5)
    rng = np.random.default_rng(3)
    data = replace(data, directions=rng.choice(classes, size=data.directions.shape).astype(np.int8))
    native = fitted(data)
    artifact = native.export(INPUTS)
    require_parity(native, artifact, golden_set(data, native))
    _, probabilities = Scorer(artifact).score(data.features[:100])
    absent = [k for k in range(3) if k not in classes]
    assert (probabilities[:, :, absent] == 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=2), 1, atol=1e-6)
    if len(classes) == 1:
        assert (probabilities[:, :, classes[0]] == 1).all()


def test_a_model_without_a_single_split_is_exported_too() -> None:
    data = matrix(signal=0.5, dates=40, symbols=2)  # 56 rows to train on, at least 50 in a leaf
    model = train(spec(), data, "technical-1")
    quantiles, _ = Scorer(model.artifact).score(data.features)
    assert len(np.unique(quantiles, axis=0)) == 1


def digest_in_another_process(hash_seed: str, cpus: set[int]) -> str:
    code = (
        "import hashlib; from synthetic import matrix, spec; from mlops.training import train;"
        "print(hashlib.sha256(train(spec(), matrix(signal=0.5), 'technical-1').artifact).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(Path(__file__).parents[1])},
        preexec_fn=lambda: os.sched_setaffinity(0, cpus),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_the_same_data_and_seed_give_the_same_bytes_in_any_process_on_any_number_of_cores() -> None:
    here = hashlib.sha256(train(spec(), matrix(signal=0.5), "technical-1").artifact).hexdigest()
    cpus = os.sched_getaffinity(0)
    assert digest_in_another_process("1", cpus) == here
    assert digest_in_another_process("2", {min(cpus)}) == here


def test_all_iterations_are_gone_through() -> None:
    """Early stopping would hold out rows at random, and on noise it would stop at once."""
    data = matrix(signal=0.0)
    native = fitted(data, max_iter=40, learning_rate=0.5, min_samples_leaf=5)
    trees_of_a_target = np.bincount([tree.first for tree in native.sums.trees])
    assert trees_of_a_target.tolist() == [40] * len(native.sums.bases)
    assert len(native.history()) == 40


def test_other_settings_give_other_bytes() -> None:
    data = matrix(signal=0.5)
    first = train(spec(), data, "technical-1")
    assert train(spec(max_iter=21), data, "technical-1").artifact != first.artifact
    assert train(spec(), data, "technical-2").artifact != first.artifact


def test_the_file_says_what_it_takes_and_gives() -> None:
    scorer = Scorer(train(spec(), matrix(signal=0.5), "technical-1").artifact)
    assert scorer.feature_names == NAMES
    assert scorer.horizons == (1, 5)
    assert scorer.quantiles == QUANTILES
    assert scorer.classes == ("BULLISH", "NEUTRAL", "BEARISH")
    assert (scorer.feature_set, scorer.feature_set_version) == ("technical", "technical-1")


def test_a_file_from_before_there_were_inputs_is_read() -> None:
    model = onnx.load_from_string(STUMPS)
    facts = {fact.key: fact.value for fact in model.metadata_props if fact.key != "inputs"}
    older = {**facts, "feature_names": json.dumps(NAMES), "feature_set_version": '"technical-1"'}
    onnx.helper.set_model_props(model, older)
    before, now = Scorer(model.SerializeToString()), Scorer(STUMPS)
    for name in ("feature_names", "feature_set", "feature_set_version", "horizons"):
        assert getattr(before, name) == getattr(now, name)


def test_a_rows_forecast_does_not_depend_on_the_others() -> None:
    data = matrix(signal=0.5)
    scorer = Scorer(train(spec(), data, "technical-1").artifact)
    quantiles, probabilities = scorer.score(data.features)
    for row in (0, 1, 1234, len(data) - 1):
        alone = scorer.score(data.features[row : row + 1])
        assert (alone[0][0] == quantiles[row]).all()
        assert (alone[1][0] == probabilities[row]).all()
    few = scorer.score(data.features[5:108].astype(np.float64))
    assert (few[0] == quantiles[5:108]).all()


def test_no_rows_give_no_forecasts() -> None:
    scorer = Scorer(train(spec(), matrix(signal=0.5), "technical-1").artifact)
    quantiles, probabilities = scorer.score(np.empty((0, len(NAMES)), dtype=np.float32))
    assert (quantiles.shape, probabilities.shape) == ((0, 2, 3), (0, 2, 3))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_a_row_that_holds_no_number_is_refused(value: float) -> None:
    scorer = Scorer(STUMPS)
    rows = np.zeros((3, len(NAMES)))
    rows[1, 2] = value
    with pytest.raises(ScoringError, match="1 of 3 rows"), np.errstate(over="ignore"):
        scorer.score(rows)


def test_another_number_of_features_is_refused() -> None:
    scorer = Scorer(STUMPS)
    with pytest.raises(ScoringError, match=r"takes 4 features a row, not \(3, 5\)"):
        scorer.score(np.zeros((3, 5)))


def test_bytes_that_are_no_model_are_refused() -> None:
    with pytest.raises(ScoringError, match="cannot be loaded"):
        Scorer(b"not a model")


def test_a_model_of_somebody_else_is_refused() -> None:
    model = onnx.load_from_string(STUMPS)
    del model.metadata_props[:]
    with pytest.raises(ScoringError, match="was not made by Forecastle"):
        Scorer(model.SerializeToString())


def test_a_model_whose_shapes_are_not_what_it_says_is_refused() -> None:
    model = onnx.load_from_string(STUMPS)
    for fact in model.metadata_props:
        if fact.key == "horizons":
            fact.value = "[1, 5]"
    with pytest.raises(ScoringError, match="not what its own metadata says"):
        Scorer(model.SerializeToString())


def test_progress_is_told_to_its_end() -> None:
    told: list[tuple[str, int, int]] = []
    train(spec(), matrix(signal=0.5), "technical-1", lambda what, done, total: told.append((what, done, total)))
    assert [each for each in told if each[0] == "fit"] == [("fit", i, 8) for i in range(1, 9)]
    assert told[-1] == ("judge", 2, 2)
