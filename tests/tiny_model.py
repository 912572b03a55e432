"""A model small enough to work out by hand, as ONNX, with the inputs, outputs and metadata of a trained one."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mlops.domain import HORIZONS, QUANTILES, TECHNICAL_FEATURES, Direction

BAND = np.float32(0.02)


def weights(horizons: tuple[int, ...] = HORIZONS, seed: int = 7) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return what the model multiplies the features with: for p50, [20, H], and for the scores, [20, H, 3]."""
    rng = np.random.default_rng(seed)
    n = len(TECHNICAL_FEATURES)
    medians = rng.normal(0, 0.01, (n, len(horizons))).astype(np.float32)
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
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    metadata: dict[str, object] = {
        "feature_names": list(TECHNICAL_FEATURES),
        "horizons": list(horizons),
        "quantiles": list(QUANTILES),
        "classes": [str(each) for each in Direction],
        "feature_set_version": feature_set_version,
    } | facts
    helper.set_model_props(model, {name: json.dumps(value) for name, value in metadata.items()})
    onnx.checker.check_model(model)
    return model.SerializeToString()
