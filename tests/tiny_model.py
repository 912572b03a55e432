"""A model small enough to work out by hand, as ONNX, with the inputs, outputs and metadata of a trained one."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from technical import HORIZONS, TECHNICAL_FEATURES

from mlops.domain import QUANTILES, Direction

BAND = np.float32(0.02)


def weights(horizons: tuple[int, ...] = HORIZONS, seed: int = 7) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return what the model multiplies the features with: for p50, [20, H], and for the scores, [20, H, 3]."""
    rng = np.random.default_rng(seed)
    n = len(TECHNICAL_FEATURES)
    medians = rng.normal(0, 0.01, (n, len(horizons))).astype(np.float32)
    medians[TECHNICAL_FEATURES.index("rsi_14")] /= 100  # it goes up to 100, and the return must not
    scores = rng.normal(0, 0.5, (n, len(horizons), len(Direction))).astype(np.float32)
    return medians, scores


def tiny_model(
    horizons: tuple[int, ...] = HORIZONS, *, seed: int = 7, feature_set_version: str = "1", **facts: object
) -> bytes:
    """Return a linear model's bytes: p50 = X w, p10 and p90 = p50 -+ 0.02, probabilities = softmax(X v)."""
    medians, scores = weights(horizons, seed)
    n, h = medians.shape
    thrice = np.repeat(medians[:, :, None], len(QUANTILES), axis=2).reshape(n, -1)
    offsets = np.tile(np.array([-BAND, 0, BAND], dtype=np.float32), h)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["features", "w"], ["flat"]),
            helper.make_node("Add", ["flat", "b"], ["shifted"]),
            helper.make_node("Reshape", ["shifted", "shape"], ["quantiles"]),
            helper.make_node("MatMul", ["features", "v"], ["flat_scores"]),
            helper.make_node("Reshape", ["flat_scores", "shape"], ["scores"]),
            helper.make_node("Softmax", ["scores"], ["probabilities"], axis=-1),
        ],
        "tiny",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, n])],
        [
            helper.make_tensor_value_info("quantiles", TensorProto.FLOAT, [None, h, 3]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, h, 3]),
        ],
        [
            numpy_helper.from_array(thrice.astype(np.float32), "w"),
            numpy_helper.from_array(offsets, "b"),
            numpy_helper.from_array(scores.reshape(n, -1), "v"),
            numpy_helper.from_array(np.array([-1, h, 3], dtype=np.int64), "shape"),
        ],
    )
    return _bytes(graph, horizons, {"feature_set_version": feature_set_version} | facts)


def saying(
    quantiles: NDArray[Any],
    probabilities: NDArray[Any],
    *,
    for_each_row: bool = True,
    horizons: tuple[int, ...] = HORIZONS,
    feature_set_version: str = "1",
) -> bytes:
    """Return the bytes of a model that says the same of every row, both [1, horizons, 3], whether it can be or not."""
    names = {"quantiles": quantiles, "probabilities": probabilities}
    nodes = []
    for name in names:
        if for_each_row:
            nodes.append(helper.make_node("MatMul", ["features", "zeros"], [f"flat_{name}"]))
            nodes.append(helper.make_node("Reshape", [f"flat_{name}", "shape"], [f"shaped_{name}"]))
            nodes.append(helper.make_node("Add", [f"shaped_{name}", f"said_{name}"], [name]))
        else:
            nodes.append(helper.make_node("Identity", [f"said_{name}"], [name]))
    graph = helper.make_graph(
        nodes,
        "saying",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, len(TECHNICAL_FEATURES)])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, len(horizons), 3]) for name in names],
        [
            *(numpy_helper.from_array(said.astype(np.float32), f"said_{name}") for name, said in names.items()),
            numpy_helper.from_array(np.zeros((len(TECHNICAL_FEATURES), 1), np.float32), "zeros"),
            numpy_helper.from_array(np.array([-1, 1, 1], dtype=np.int64), "shape"),
        ],
    )
    return _bytes(graph, horizons, {"feature_set_version": feature_set_version})


def endless_model(*, feature_set_version: str = "1") -> bytes:
    """Return the bytes of a model whose scores want a loop of 4 * 10**18 rounds first."""
    model = onnx.load_from_string(tiny_model(feature_set_version=feature_set_version))
    kinds = {"turn": TensorProto.INT64, "goes_on": TensorProto.BOOL, "sum": TensorProto.FLOAT}
    infos = {
        name: helper.make_tensor_value_info(name, kind, [1] if kind == TensorProto.FLOAT else [])
        for name, kind in kinds.items()
    }
    body = helper.make_graph(
        [helper.make_node("Identity", ["goes_on"], ["goes_on_out"]), helper.make_node("Add", ["sum", "sum"], ["out"])],
        "body",
        list(infos.values()),
        [
            helper.make_tensor_value_info("goes_on_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("out", TensorProto.FLOAT, [1]),
        ],
    )
    model.graph.initializer.extend(
        [
            numpy_helper.from_array(np.array(2**62), "rounds"),
            numpy_helper.from_array(np.array(True), "yes"),
            numpy_helper.from_array(np.zeros(1, np.float32), "nothing"),
        ]
    )
    for node in model.graph.node:
        node.output[:] = ["before" if name == "quantiles" else name for name in node.output]
    model.graph.node.append(helper.make_node("Loop", ["rounds", "yes", "nothing"], ["at_last"], body=body))
    model.graph.node.append(helper.make_node("Add", ["before", "at_last"], ["quantiles"]))
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _bytes(graph: Any, horizons: tuple[int, ...], facts: dict[str, object]) -> bytes:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    metadata: dict[str, object] = {
        "feature_names": list(TECHNICAL_FEATURES),
        "horizons": list(horizons),
        "quantiles": list(QUANTILES),
        "classes": [str(each) for each in Direction],
    } | facts
    helper.set_model_props(model, {name: json.dumps(value) for name, value in metadata.items()})
    onnx.checker.check_model(model)
    return model.SerializeToString()
