"""What a model may be and what it may say: graphs that might never end, and forecasts that cannot be."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from technical import HORIZONS, TECHNICAL_FEATURES
from tiny_model import endless_model, saying, tiny_model

from mlops import scoring
from mlops.exceptions import ScoringError
from mlops.onnx_graph import require_plain
from mlops.scoring import Scorer

ROWS = np.zeros((3, len(TECHNICAL_FEATURES)))
QUANTILES = np.tile(np.float32([-0.02, 0.0, 0.02]), (1, len(HORIZONS), 1))
PROBABILITIES = np.tile(np.float32([0.5, 0.25, 0.25]), (1, len(HORIZONS), 1))


def with_one(values: NDArray[np.float32], *one: float) -> NDArray[np.float32]:
    """Return the values with those of the second horizon replaced."""
    changed = values.copy()
    changed[0, 1] = one
    return changed


def test_what_can_be_is_handed_on() -> None:
    quantiles, probabilities = Scorer(saying(QUANTILES, PROBABILITIES)).score(ROWS)
    np.testing.assert_array_equal(quantiles, np.repeat(QUANTILES, 3, axis=0))
    np.testing.assert_array_equal(probabilities, np.repeat(PROBABILITIES, 3, axis=0))


@pytest.mark.parametrize(
    ("quantiles", "probabilities", "message"),
    [
        ((np.nan, 0.0, 0.1), None, "no finite number"),
        ((-np.inf, 0.0, 0.1), None, "no finite number"),
        ((-0.1, 0.0, np.inf), None, "no finite number"),
        (None, (np.nan, 0.5, 0.5), "no finite number"),
        ((-1.0, 0.0, 0.1), None, "return of -1 or less"),
        ((0.1, 0.0, 0.2), None, "quantiles that cross"),
        (None, (5.0, -4.0, 0.0), "below 0 or above 1"),
        (None, (0.5, 0.25, 0.2), "do not sum to 1"),
    ],
)
def test_what_cannot_be_is_refused(
    quantiles: tuple[float, ...] | None, probabilities: tuple[float, ...] | None, message: str
) -> None:
    scorer = Scorer(
        saying(
            with_one(QUANTILES, *quantiles) if quantiles else QUANTILES,
            with_one(PROBABILITIES, *probabilities) if probabilities else PROBABILITIES,
        )
    )
    with pytest.raises(ScoringError, match=rf"gives .*{message}.*, for 3 of 3 rows"):
        scorer.score(ROWS)


def test_one_answer_for_three_rows_is_refused() -> None:
    with pytest.raises(ScoringError, match=r"shapes \(\(1, 4, 3\), \(1, 4, 3\)\) where \(\(3, 4, 3\), \(3, 4, 3\)\)"):
        Scorer(saying(QUANTILES, PROBABILITIES, for_each_row=False)).score(ROWS)


def test_a_graph_that_may_never_end_is_not_loaded() -> None:
    with pytest.raises(ScoringError, match="uses the operator Loop: a graph that can repeat itself may never end"):
        Scorer(endless_model())


def test_a_run_that_does_not_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Should the look at the graph ever miss one, the deadline does not."""
    monkeypatch.setattr(scoring, "require_plain", lambda model: None)
    monkeypatch.setattr(scoring, "SECONDS_A_RUN", 0.3)
    scorer = Scorer(endless_model())
    began = time.monotonic()
    with pytest.raises(ScoringError, match=r"was stopped after .* without having scored 3 rows"):
        scorer.score(ROWS)
    assert time.monotonic() - began < 5


def test_a_plain_graph_that_takes_too_long_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Minutes of products of matrices, and no control flow in it."""
    model = onnx.load_from_string(tiny_model())
    n = 300
    model.graph.initializer.append(numpy_helper.from_array(np.full((n, n), 1 / n, dtype=np.float32), "square"))
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((len(TECHNICAL_FEATURES), n), np.float32), "wide"))
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((n, 1), np.float32), "narrow"))
    model.graph.initializer.append(numpy_helper.from_array(np.array([-1, 1, 1], np.int64), "one"))
    last = "begun"
    extra = [helper.make_node("MatMul", ["features", "wide"], [last])]
    for step in range(200):
        extra.append(helper.make_node("MatMul", [last, "square"], [f"step_{step}"]))
        last = f"step_{step}"
    extra.append(helper.make_node("MatMul", [last, "narrow"], ["nothing"]))
    extra.append(helper.make_node("Reshape", ["nothing", "one"], ["shaped"]))
    extra.append(helper.make_node("Add", ["before", "shaped"], ["quantiles"]))
    for node in model.graph.node:
        node.output[:] = ["before" if name == "quantiles" else name for name in node.output]
    model.graph.node.extend(extra)
    scorer = Scorer(model.SerializeToString())
    monkeypatch.setattr(scoring, "SECONDS_A_RUN", 0.2)
    monkeypatch.setattr(scoring, "SECONDS_A_ROW", 0.0)
    began = time.monotonic()
    with pytest.raises(ScoringError, match="was stopped"):
        scorer.score(np.zeros((20_000, len(TECHNICAL_FEATURES))))
    assert time.monotonic() - began < 10


def test_a_deadline_that_was_kept_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "SECONDS_A_RUN", 0.1)
    scorer = Scorer(saying(QUANTILES, PROBABILITIES))
    scorer.score(ROWS)
    time.sleep(0.3)
    scorer.score(ROWS)


def test_operators_of_elsewhere_are_not_loaded() -> None:
    model = onnx.load_from_string(tiny_model())
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    model.graph.node.append(helper.make_node("Gelu", ["features"], ["unused"], domain="com.microsoft"))
    with pytest.raises(ScoringError, match=r"uses the operator Gelu of com.microsoft"):
        Scorer(model.SerializeToString())


def test_functions_of_its_own_are_not_loaded() -> None:
    model = onnx.load_from_string(tiny_model())
    node = helper.make_node("Identity", ["x"], ["y"])
    model.functions.append(helper.make_function("mine", "f", ["x"], ["y"], [node], [helper.make_opsetid("", 17)]))
    with pytest.raises(ScoringError, match="functions of its own"):
        Scorer(model.SerializeToString())


@pytest.mark.parametrize("place", ["initializer", "Constant", "sparse initializer"])
def test_numbers_in_another_file_are_not_read(place: str) -> None:
    model: Any = onnx.load_from_string(tiny_model())
    far = numpy_helper.from_array(np.ones(3, np.float32), "far")
    far.ClearField("raw_data")
    far.data_location = TensorProto.EXTERNAL
    far.external_data.add(key="location", value="/etc/passwd")
    if place == "initializer":
        model.graph.initializer.append(far)
    elif place == "Constant":
        model.graph.node.append(helper.make_node("Constant", [], ["far"], value=far))
    else:
        sparse = model.graph.sparse_initializer.add(dims=[3])
        sparse.values.CopyFrom(far)
        sparse.indices.CopyFrom(numpy_helper.from_array(np.arange(3), "places"))
    with pytest.raises(ScoringError, match="numbers in another file"):
        Scorer(model.SerializeToString())


def test_a_place_named_location_in_the_graph_itself_is_no_file() -> None:
    model = onnx.load_from_string(tiny_model())
    model.graph.node[0].name = "location"
    assert Scorer(model.SerializeToString()).horizons == HORIZONS


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_a_file_that_was_cut_off_is_no_model(share: float) -> None:
    whole = tiny_model()
    with pytest.raises(ScoringError, match="cannot be loaded"):
        require_plain(whole[: int(share * len(whole))])
