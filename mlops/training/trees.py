"""Trees as ONNX has them, whatever library grew them, and the one graph that holds a whole model.

All trees of a model, of every horizon, quantile and class, become one `TreeEnsembleRegressor` node: ONNX Runtime walks
them in one pass, and there is one input and nothing to merge. Behind it, inside the graph:

- the quantiles of a row are sorted, the *rearrangement* of V. Chernozhukov, I. Fernandez-Val and A. Galichon, "Quantile
  and Probability Curves Without Crossing" (Econometrica 78, 2010): separately fitted quantiles may cross, and sorting
  them never makes any of them worse;
- class scores go through a softmax; class frequencies stay what they are.

A library compares float64 with float64, ONNX Runtime float32 with float32. Rounding a threshold to the nearest float32
can move it past the value above it, and a row that went right goes left. Rounded *down*, `x <= threshold` holds for
exactly the same float32 x as before, so no row ever takes another branch; what is left of a difference is the sum of
the leaves in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops.domain import QUANTILES
from mlops.modelling import ModelInput
from mlops.scoring import CLASSES
from mlops.training.artifact import assemble, constant

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ABSENT = -1e4
"""Score of a class that training never saw: its probability is exactly 0 in float32."""

PROBES_A_FEATURE = 32


@dataclass(frozen=True, slots=True)
class Tree:
    """One decision tree as columns, node 0 its root; a row goes left where its value <= threshold.

    Attributes:
        feature: int64 [nodes]; column of the matrix; 0 at a leaf.
        threshold: float64 [nodes]; 0 at a leaf.
        left: int64 [nodes]; 0 at a leaf.
        right: int64 [nodes]; 0 at a leaf.
        leaf: bool [nodes].
        values: float64 [nodes, outputs]; what a leaf adds, the first to the target at `first`, the others to those
            that follow it.
        first: number of the first target that the leaves add to.
    """

    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    leaf: NDArray[np.bool_]
    values: NDArray[np.float64]
    first: int


@dataclass(frozen=True, slots=True)
class TreeSums:
    """A model that is sums of trees, one a target.

    The targets are, in this order, the quantiles of each horizon and the classes of each horizon: 3 of the first
    horizon, 3 of the second, and so on.

    Attributes:
        horizons: bars ahead.
        bases: float64 [targets]; what each sum starts from.
        trees: in the order in which they are added.
        softmax: whether the sums of the classes are scores; else they are the probabilities.
    """

    horizons: tuple[int, ...]
    bases: NDArray[np.float64]
    trees: Sequence[Tree]
    softmax: bool


def round_down(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return for each threshold the largest float32 that is not above it."""
    import numpy as np

    nearest = thresholds.astype(np.float32)
    below = np.nextafter(nearest, np.float32(-np.inf), dtype=np.float32)
    return np.where(nearest.astype(np.float64) > thresholds, below, nearest)


def to_onnx(sums: TreeSums, inputs: ModelInput) -> bytes:
    """Return the ONNX file of `sums` over the features of `inputs`."""
    import numpy as np
    from onnx import helper

    n_horizons = len(sums.horizons)
    n_quantiles = n_horizons * len(QUANTILES)
    nodes = [
        helper.make_node(
            "TreeEnsembleRegressor",
            ["features"],
            ["sums"],
            name="trees",
            domain="ai.onnx.ml",
            n_targets=len(sums.bases),
            aggregate_function="SUM",
            post_transform="NONE",
            **_ensemble(sums),
        ),
        helper.make_node("Slice", ["sums", "zero", "split", "one"], ["flat_quantiles"], name="take_quantiles"),
        helper.make_node("Slice", ["sums", "split", "end", "one"], ["flat_classes"], name="take_classes"),
        helper.make_node("Reshape", ["flat_quantiles", "quantiles_shape"], ["crossing"], name="shape_quantiles"),
        helper.make_node(
            "TopK", ["crossing", "all_quantiles"], ["quantiles", "order"], name="rearrange", axis=2, largest=0, sorted=1
        ),
    ]
    if sums.softmax:
        nodes += [
            helper.make_node("Reshape", ["flat_classes", "classes_shape"], ["scores"], name="shape_scores"),
            helper.make_node("Softmax", ["scores"], ["probabilities"], name="softmax", axis=2),
        ]
    else:
        nodes.append(
            helper.make_node("Reshape", ["flat_classes", "classes_shape"], ["probabilities"], name="shape_classes")
        )
    whole_numbers = {
        "zero": [0],
        "split": [n_quantiles],
        "end": [len(sums.bases)],
        "one": [1],
        "quantiles_shape": [-1, n_horizons, len(QUANTILES)],
        "classes_shape": [-1, n_horizons, len(CLASSES)],
        "all_quantiles": [len(QUANTILES)],
    }
    constants = [constant(name, np.array(values, dtype=np.int64)) for name, values in whole_numbers.items()]
    return assemble(nodes, constants, inputs, sums.horizons)


def threshold_rows(trees: Sequence[Tree], middle: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `middle` [features] with one feature exactly at a threshold, and one float32 step above it: [n, features].

    There rounding would send a row into the other branch. Of a feature with many thresholds, PROBES_A_FEATURE are used.
    """
    import numpy as np

    if not trees:
        return np.empty((0, len(middle)), dtype=np.float32)
    branch = ~np.concatenate([tree.leaf for tree in trees])
    feature = np.concatenate([tree.feature for tree in trees])[branch]
    threshold = round_down(np.concatenate([tree.threshold for tree in trees])[branch])
    rows = [np.empty((0, len(middle)), dtype=np.float32)]
    for column in np.unique(feature):
        distinct = np.unique(threshold[feature == column])
        chosen = distinct[np.unique(np.linspace(0, len(distinct) - 1, PROBES_A_FEATURE).astype(int))]
        values = np.concatenate([chosen, np.nextafter(chosen, np.float32(np.inf), dtype=np.float32)])
        varied = np.tile(middle, (len(values), 1))
        varied[:, column] = values
        rows.append(varied)
    return np.concatenate(rows)


def _bare_leaf(target: int) -> Tree:
    """Return a tree that adds 0 to `target`."""
    import numpy as np

    nothing = np.zeros(1, dtype=np.int64)
    return Tree(nothing, np.zeros(1), nothing, nothing, np.ones(1, dtype=np.bool_), np.zeros((1, 1)), target)


def _ensemble(sums: TreeSums) -> dict[str, Any]:
    """Return the node's attributes: all trees one after the other, numbered, each leaf with its targets' numbers.

    A target without trees gets one that is nothing but a leaf of 0: ONNX Runtime adds no base where no leaf is reached.
    """
    import numpy as np

    reached = {tree.first + output for tree in sums.trees for output in range(tree.values.shape[1])}
    trees = [*sums.trees, *(_bare_leaf(target) for target in range(len(sums.bases)) if target not in reached)]
    sizes = [len(tree.leaf) for tree in trees]
    tree_ids = np.repeat(np.arange(len(trees)), sizes)
    node_ids = np.concatenate([np.arange(size) for size in sizes])
    leaf = np.concatenate([tree.leaf for tree in trees])
    outputs = np.repeat([tree.values.shape[1] for tree in trees], [int(tree.leaf.sum()) for tree in trees])
    target_ids = [np.tile(tree.first + np.arange(tree.values.shape[1]), int(tree.leaf.sum())) for tree in trees]

    def together(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(tree, name) for tree in trees])

    return {
        "nodes_treeids": tree_ids.tolist(),
        "nodes_nodeids": node_ids.tolist(),
        "nodes_featureids": together("feature").tolist(),
        "nodes_values": round_down(together("threshold")).tolist(),
        "nodes_modes": np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_truenodeids": together("left").tolist(),
        "nodes_falsenodeids": together("right").tolist(),
        "target_treeids": np.repeat(tree_ids[leaf], outputs).tolist(),
        "target_nodeids": np.repeat(node_ids[leaf], outputs).tolist(),
        "target_ids": np.concatenate(target_ids).tolist(),
        "target_weights": np.concatenate([tree.values[tree.leaf].ravel() for tree in trees])
        .astype(np.float32)
        .tolist(),
        "base_values": sums.bases.astype(np.float32).tolist(),
    }
