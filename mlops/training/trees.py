"""Trees as ONNX has them, whatever library grew them, and the one graph that holds a whole model.

All trees of a model, of every horizon, quantile and class, become one `TreeEnsembleRegressor` node with one target
each: ONNX Runtime walks them in one pass, and there is one input and nothing to merge. Behind it, inside the graph:

- the quantiles of a row are sorted, the *rearrangement* of V. Chernozhukov, I. Fernandez-Val and A. Galichon, "Quantile
  and Probability Curves Without Crossing" (Econometrica 78, 2010): separately fitted quantiles may cross, and sorting
  them never makes any of them worse;
- the class scores go through a softmax.

A library compares float64 with float64, ONNX Runtime float32 with float32. Rounding a threshold to the nearest float32
can move it past the value above it, and a row that went right goes left. Rounded *down*, `x <= threshold` holds for
exactly the same float32 x as before, so no row ever takes another branch; what is left of a difference is the sum of
the leaves in float32.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops.domain import QUANTILES
from mlops.scoring import CLASSES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OPSET = 17
ML_OPSET = 3
IR_VERSION = 8
"""Pinned: what ONNX Runtime has read since 2022, and the same bytes whatever version of `onnx` writes them."""

ABSENT = -1e4
"""Score of a class that training never saw: its probability is exactly 0 in float32."""


@dataclass(frozen=True, slots=True)
class Tree:
    """One decision tree as columns, node 0 its root; a row goes left where its value <= threshold.

    Attributes:
        feature: int64 [nodes]; column of the matrix; 0 at a leaf.
        threshold: float64 [nodes]; 0 at a leaf.
        left: int64 [nodes]; 0 at a leaf.
        right: int64 [nodes]; 0 at a leaf.
        leaf: bool [nodes].
        value: float64 [nodes]; what a leaf adds to its target.
    """

    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    leaf: NDArray[np.bool_]
    value: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Target:
    """One sum of trees: a quantile of a horizon, or the score of a class."""

    base: float
    trees: Sequence[Tree]


@dataclass(frozen=True, slots=True)
class Forest:
    """All sums of a model.

    Attributes:
        quantiles: by horizon, by quantile in the order of `mlops.domain.QUANTILES`.
        classes: by horizon, by class in the order of `mlops.scoring.CLASSES`.
    """

    feature_names: tuple[str, ...]
    horizons: tuple[int, ...]
    quantiles: Sequence[Sequence[Target]]
    classes: Sequence[Sequence[Target]]

    def targets(self) -> list[Target]:
        """Return the sums in the order of the graph: all quantiles, then all classes."""
        return [target for group in (self.quantiles, self.classes) for row in group for target in row]


def round_down(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return for each threshold the largest float32 that is not above it."""
    import numpy as np

    nearest = thresholds.astype(np.float32)
    below = np.nextafter(nearest, np.float32(-np.inf), dtype=np.float32)
    return np.where(nearest.astype(np.float64) > thresholds, below, nearest)


def to_onnx(forest: Forest, feature_set_version: str) -> bytes:
    """Return the ONNX file: `features` [n, features] in, `quantiles` and `probabilities` [n, horizons, 3] out.

    The same forest gives the same bytes: there is no time, path or random name in them.
    """
    from onnx import TensorProto, checker, helper

    n_horizons = len(forest.horizons)
    n_quantiles = n_horizons * len(QUANTILES)
    n_scores = n_quantiles + n_horizons * len(CLASSES)

    def ints(name: str, values: Sequence[int]) -> Any:  # noqa: ANN401 - onnx has no types
        return helper.make_tensor(name, TensorProto.INT64, [len(values)], values)

    nodes = [
        helper.make_node(
            "TreeEnsembleRegressor",
            ["features"],
            ["sums"],
            name="trees",
            domain="ai.onnx.ml",
            n_targets=n_scores,
            aggregate_function="SUM",
            post_transform="NONE",
            **_ensemble(forest.targets()),
        ),
        helper.make_node("Slice", ["sums", "zero", "split", "one"], ["flat_quantiles"], name="take_quantiles"),
        helper.make_node("Slice", ["sums", "split", "end", "one"], ["flat_scores"], name="take_scores"),
        helper.make_node("Reshape", ["flat_quantiles", "quantiles_shape"], ["crossing"], name="shape_quantiles"),
        helper.make_node("Reshape", ["flat_scores", "classes_shape"], ["scores"], name="shape_scores"),
        helper.make_node(
            "TopK", ["crossing", "all_quantiles"], ["quantiles", "order"], name="rearrange", axis=2, largest=0, sorted=1
        ),
        helper.make_node("Softmax", ["scores"], ["probabilities"], name="softmax", axis=2),
    ]
    constants = [
        ints("zero", [0]),
        ints("split", [n_quantiles]),
        ints("end", [n_scores]),
        ints("one", [1]),
        ints("quantiles_shape", [-1, n_horizons, len(QUANTILES)]),
        ints("classes_shape", [-1, n_horizons, len(CLASSES)]),
        ints("all_quantiles", [len(QUANTILES)]),
    ]
    graph = helper.make_graph(
        nodes,
        "forecastle",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", len(forest.feature_names)])],
        [
            helper.make_tensor_value_info("quantiles", TensorProto.FLOAT, ["n", n_horizons, len(QUANTILES)]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", n_horizons, len(CLASSES)]),
        ],
        constants,
    )
    model = helper.make_model(
        graph,
        producer_name="forecastle",
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        ir_version=IR_VERSION,
    )
    facts = {
        "feature_names": forest.feature_names,
        "horizons": forest.horizons,
        "quantiles": QUANTILES,
        "classes": CLASSES,
        "feature_set_version": feature_set_version,
    }
    for name, value in facts.items():
        model.metadata_props.add(key=name, value=json.dumps(value))
    checker.check_model(model)
    serialised: bytes = model.SerializeToString(deterministic=True)
    return serialised


def _bare_leaf() -> Tree:
    import numpy as np

    nothing = np.zeros(1, dtype=np.int64)
    return Tree(nothing, np.zeros(1), nothing, nothing, np.ones(1, dtype=np.bool_), np.zeros(1))


def _ensemble(targets: Sequence[Target]) -> dict[str, Any]:
    """Return the node's attributes: all trees one after the other, numbered, each leaf with its target's number.

    A target without trees gets one that is nothing but a leaf of 0: ONNX Runtime adds no base where no leaf is reached.
    """
    import numpy as np

    trees = [(number, tree) for number, target in enumerate(targets) for tree in target.trees or [_bare_leaf()]]
    sizes = [len(tree.leaf) for _, tree in trees]
    tree_ids = np.repeat(np.arange(len(trees)), sizes)
    node_ids = np.concatenate([np.arange(size) for size in sizes])
    leaf = np.concatenate([tree.leaf for _, tree in trees])
    value = np.concatenate([tree.value for _, tree in trees])
    target_ids = np.repeat([number for number, _ in trees], sizes)

    def together(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(tree, name) for _, tree in trees])

    return {
        "nodes_treeids": tree_ids.tolist(),
        "nodes_nodeids": node_ids.tolist(),
        "nodes_featureids": together("feature").tolist(),
        "nodes_values": round_down(together("threshold")).tolist(),
        "nodes_modes": np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_truenodeids": together("left").tolist(),
        "nodes_falsenodeids": together("right").tolist(),
        "target_treeids": tree_ids[leaf].tolist(),
        "target_nodeids": node_ids[leaf].tolist(),
        "target_ids": target_ids[leaf].tolist(),
        "target_weights": value[leaf].astype(np.float32).tolist(),
        "base_values": [float(np.float32(target.base)) for target in targets],
    }
