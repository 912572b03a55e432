"""A quantile forest: one random forest for all horizons, whose leaves hold quantiles and class frequencies.

After N. Meinshausen, "Quantile Regression Forests" (Journal of Machine Learning Research 7, 2006): the trees are grown
as for a regression, and what is forecast comes from the returns of the training rows that fall into the same leaf.
There the rows of all trees are pooled with weights. Here each leaf has its own quantiles, and they are averaged over
the trees, so that the whole forest is one sum of trees: one ONNX node, a few megabytes, no training rows in it.

The trees split on the absolute return and the return of every horizon, each divided by its standard deviation. A split
on returns alone looks for a mean, of which there is next to none; that of their size finds where the band is wide.

Each tree is grown on at most `rows_a_tree` rows, drawn with replacement, and its leaves are filled with all rows.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from mlops.domain import QUANTILES
from mlops.modelling import Matrix, ModelInput
from mlops.scoring import CLASSES
from mlops.spec import Section
from mlops.training.family import Family, Progress, refusal
from mlops.training.trees import Tree, TreeSums, threshold_rows, to_onnx

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sklearn.ensemble import RandomForestRegressor

LEAVES = 15_000
"""Leaves that a forest may have: with four horizons it stays below `mlops.training.artifact.LARGEST`."""

TREES_AT_ONCE = 10


class Hyperparameters(Section):
    """Hyperparameters of the quantile forest."""

    n_estimators: int = Field(100, gt=0, le=2000, description="Trees.")
    max_leaf_nodes: int = Field(128, gt=1, le=LEAVES, description="Leaves of a tree; the best splits come first.")
    min_samples_leaf: int = Field(
        50, gt=0, le=1_000_000, description="Rows that a leaf has at least, of those that its tree is grown on."
    )
    max_features: float = Field(0.33, gt=0, le=1, description="Share of the features that each split chooses from.")
    rows_a_tree: int = Field(
        50_000,
        gt=1,
        le=10_000_000,
        description="Rows drawn for each tree, with replacement; as many as there are, at most.",
    )

    @model_validator(mode="after")
    def _is_of_bounded_size(self) -> Self:
        if self.n_estimators * self.max_leaf_nodes > LEAVES:
            raise ValueError(
                f"n_estimators times max_leaf_nodes should be at most {LEAVES:,}: the model would be too large for "
                "its table"
            )
        return self


@dataclass(frozen=True)
class FittedForest:
    """The grown forest, and the values of each tree's nodes: [nodes, targets], in the order of `TreeSums`."""

    feature_names: tuple[str, ...]
    horizons: tuple[int, ...]
    forest: RandomForestRegressor
    values: tuple[NDArray[np.float64], ...]

    def predict(self, features: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the mean over the trees of what stands in each row's leaf."""
        import numpy as np

        total = np.zeros((len(features), self.values[0].shape[1]))
        for grown, values in zip(self.forest.estimators_, self.values, strict=True):
            total += values[grown.tree_.apply(features)]
        mean = total / len(self.values)
        n_quantiles = len(self.horizons) * len(QUANTILES)
        quantiles = mean[:, :n_quantiles].reshape(-1, len(self.horizons), len(QUANTILES))
        return quantiles, mean[:, n_quantiles:].reshape(-1, len(self.horizons), len(CLASSES))

    @cached_property
    def sums(self) -> TreeSums:
        """The trees, each with its share of the mean."""
        import numpy as np

        trees = [
            _tree(grown.tree_, values / len(self.values))
            for grown, values in zip(self.forest.estimators_, self.values, strict=True)
        ]
        bases = np.zeros(self.values[0].shape[1])
        return TreeSums(horizons=self.horizons, bases=bases, trees=trees, softmax=False)

    def export(self, inputs: ModelInput) -> bytes:
        """Return one graph of all trees."""
        return to_onnx(self.sums, inputs)

    def probes(self, middle: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return rows at the trees' thresholds."""
        return threshold_rows(self.sums.trees, middle)

    def importances(self) -> Mapping[str, float]:
        """Return each feature's share of the fall in squared error over all splits.

        It favours features with many distinct values, as every importance does that is read off the splits.
        """
        return dict(zip(self.feature_names, self.forest.feature_importances_.tolist(), strict=True))

    def history(self) -> Sequence[Mapping[str, float]]:
        """Return nothing: the trees are grown independently of each other."""
        return ()


class RandomForest:
    """The family; see the module."""

    hyperparameters = Hyperparameters
    packages = ("scikit-learn", "numpy", "scipy")

    def fit(
        self, train: Matrix, validation: Matrix, hyperparameters: Hyperparameters, seed: int, progress: Progress
    ) -> FittedForest:
        """Grow the forest on `train` and fill its leaves; `validation` is not looked at.

        Raises:
            TrainingError: scikit-learn refuses.
        """
        import numpy as np
        from sklearn.ensemble import RandomForestRegressor

        deviations = train.returns.std(axis=0)
        scaled = train.returns / np.where(deviations > 0, deviations, 1.0)
        targets = np.hstack([np.abs(scaled), scaled])
        steps = 2 * hyperparameters.n_estimators
        forest = RandomForestRegressor(
            **hyperparameters.model_dump(exclude={"rows_a_tree", "n_estimators"}),
            n_estimators=0,
            max_samples=min(hyperparameters.rows_a_tree, len(train)),
            bootstrap=True,
            warm_start=True,
            n_jobs=len(os.sched_getaffinity(0)),
            random_state=seed,
        )
        try:
            for n in range(TREES_AT_ONCE, hyperparameters.n_estimators + TREES_AT_ONCE, TREES_AT_ONCE):
                forest.set_params(n_estimators=min(n, hyperparameters.n_estimators))
                forest.fit(train.features, targets)
                progress(forest.n_estimators, steps)
        except ValueError as error:
            raise refusal("scikit-learn", error) from error
        leaves = _Leaves(train)
        values = []
        for n, grown in enumerate(forest.estimators_, start=1):
            values.append(leaves.values(grown.tree_))
            progress(hyperparameters.n_estimators + n, steps)
        return FittedForest(train.feature_names, train.horizons, forest, tuple(values))


FAMILY: Family[Hyperparameters] = RandomForest()


class _Leaves:
    """What stands in the leaves of a tree, of the rows that fall into them."""

    def __init__(self, train: Matrix) -> None:
        import numpy as np

        self._train = train
        self._ascending = [np.argsort(train.returns[:, h], kind="stable") for h in range(len(train.horizons))]

    def values(self, tree: Any) -> NDArray[np.float64]:  # noqa: ANN401 - scikit-learn has no types
        """Return [nodes, targets]: quantiles of the returns and frequencies of the classes; 0 where no row ends."""
        import numpy as np

        train, n_nodes = self._train, tree.node_count
        node = tree.apply(train.features)
        counts = np.bincount(node, minlength=n_nodes)
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        filled = counts > 0
        quantiles = np.zeros((n_nodes, len(train.horizons), len(QUANTILES)))
        frequencies = np.zeros((n_nodes, len(train.horizons), len(CLASSES)))
        small = node.astype(np.min_scalar_type(n_nodes))  # NumPy sorts 16 bits by radix, in one pass
        for h, ascending in enumerate(self._ascending):
            # Returns in the order of their nodes, and within a node ascending: the second sort keeps that of the first.
            by_node = train.returns[ascending[np.argsort(small[ascending], kind="stable")], h]
            for q, level in enumerate(QUANTILES):
                place = (counts[filled] - 1) * level
                below = np.floor(place).astype(int)
                first = starts[filled] + below
                low, high = by_node[first], by_node[np.minimum(first + 1, starts[filled] + counts[filled] - 1)]
                quantiles[filled, h, q] = low + (place - below) * (high - low)
            cells = np.bincount(node * len(CLASSES) + train.directions[:, h], minlength=n_nodes * len(CLASSES))
            frequencies[filled, h] = cells.reshape(n_nodes, len(CLASSES))[filled] / counts[filled, None]
        return np.hstack([quantiles.reshape(n_nodes, -1), frequencies.reshape(n_nodes, -1)])


def _tree(grown: Any, values: NDArray[np.float64]) -> Tree:  # noqa: ANN401 - scikit-learn has no types
    import numpy as np

    leaf = grown.children_left < 0
    return Tree(
        feature=np.where(leaf, 0, grown.feature).astype(np.int64),
        threshold=np.where(leaf, 0.0, grown.threshold),
        left=np.where(leaf, 0, grown.children_left).astype(np.int64),
        right=np.where(leaf, 0, grown.children_right).astype(np.int64),
        leaf=leaf,
        values=values,
        first=0,
    )
