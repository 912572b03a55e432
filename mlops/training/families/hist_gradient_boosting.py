"""Gradient boosting over histograms, by scikit-learn's `HistGradientBoosting`.

Per horizon three regressors with pinball loss, for the quantiles, and one classifier, for the direction; each pooled
over all symbols. No early stopping: it would hold out rows at random, of the same dates as those that it trains on.

The estimators are fitted side by side with one OpenMP thread each. Left to itself, scikit-learn runs one estimator on
all cores, and its threads wait for each other in busy loops hundreds of times a tree: as fast on an idle machine, and
20 times slower (3 s, 80 s) on one whose cores are shared. Two runs on the same rows with the same seed give the same
trees, whatever the number of cores.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import Field

from mlops.domain import QUANTILES
from mlops.modelling import Matrix, ModelInput
from mlops.scoring import CLASSES
from mlops.spec import Section
from mlops.training.family import Family, Progress, refusal
from mlops.training.trees import ABSENT, Tree, TreeSums, threshold_rows, to_onnx

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

ROWS_WATCHED = 10_000
"""Rows of the validation subset, spread evenly over it, on which the loss is noted tree by tree."""


class Hyperparameters(Section):
    """Hyperparameters of histogram gradient boosting, by scikit-learn's names."""

    max_iter: int = Field(60, gt=0, le=10_000, description="Trees of each estimator.")
    learning_rate: float = Field(0.03, gt=0, le=1, description="How much of each tree is added.")
    max_leaf_nodes: int = Field(4, gt=1, le=10_000, description="Leaves of a tree.")
    min_samples_leaf: int = Field(500, gt=0, le=10_000_000, description="Rows that a leaf has at least.")
    l2_regularization: float = Field(10.0, ge=0, le=1e9, description="Shrinks the values of small leaves.")


@dataclass(frozen=True)
class FittedBoosting:
    """The fitted estimators: by horizon, the regressors in the order of the quantiles, and the classifier.

    A classifier is None where training has seen only one class, which is then certain.
    """

    feature_names: tuple[str, ...]
    horizons: tuple[int, ...]
    regressors: tuple[tuple[HistGradientBoostingRegressor, ...], ...]
    classifiers: tuple[HistGradientBoostingClassifier | None, ...]
    only_classes: tuple[int | None, ...]
    validation: Matrix

    def predict(self, features: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return scikit-learn's forecasts: quantiles in ascending order, and 0 for a class that training never saw."""
        import numpy as np

        quantiles = np.empty((len(features), len(self.horizons), len(QUANTILES)))
        probabilities = np.zeros((len(features), len(self.horizons), len(CLASSES)))
        with _one_thread():
            for h in range(len(self.horizons)):
                for q, regressor in enumerate(self.regressors[h]):
                    quantiles[:, h, q] = regressor.predict(features)
                classifier, only = self.classifiers[h], self.only_classes[h]
                if classifier is None:
                    probabilities[:, h, only] = 1.0
                else:
                    probabilities[:, h, classifier.classes_] = classifier.predict_proba(features)
        return np.sort(quantiles, axis=2), probabilities

    @cached_property
    def sums(self) -> TreeSums:
        """The trees of all estimators."""
        import numpy as np

        bases: list[float] = []
        trees: list[Tree] = []
        for row in self.regressors:
            for regressor in row:
                trees += _trees(regressor, [len(bases)])
                bases += regressor._baseline_prediction.ravel().tolist()
        for classifier, only in zip(self.classifiers, self.only_classes, strict=True):
            scores = [ABSENT] * len(CLASSES)
            if classifier is None:
                scores[only or 0] = 0.0
            else:
                seen = [int(position) for position in classifier.classes_]
                own = classifier._baseline_prediction.ravel().tolist()
                if len(own) < len(seen):  # two classes: the sigmoid of one sum is the softmax of zero and that sum
                    scores[seen.pop(0)] = 0.0
                for position, base in zip(seen, own, strict=True):
                    scores[position] = base
                trees += _trees(classifier, [len(bases) + position for position in seen])
            bases += scores
        return TreeSums(horizons=self.horizons, bases=np.array(bases), trees=trees, softmax=True)

    def export(self, inputs: ModelInput) -> bytes:
        """Return one graph of all trees."""
        return to_onnx(self.sums, inputs)

    def probes(self, middle: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return rows at the trees' thresholds."""
        return threshold_rows(self.sums.trees, middle)

    def importances(self) -> Mapping[str, float]:
        """Return each feature's share of the gain in loss of all splits, averaged over the estimators."""
        import numpy as np

        shares = np.zeros(len(self.feature_names))
        for estimator in self._estimators():
            gains = np.zeros(len(self.feature_names))
            for iteration in estimator._predictors:
                for predictor in iteration:
                    branches = predictor.nodes[predictor.nodes["is_leaf"] == 0]
                    np.add.at(gains, branches["feature_idx"], branches["gain"])
            if gains.sum() > 0:
                shares += gains / gains.sum()
        return dict(zip(self.feature_names, (shares / (shares.sum() or 1.0)).tolist(), strict=True))

    def history(self) -> Sequence[Mapping[str, float]]:
        """Return, tree by tree, the loss on the validation subset, averaged over horizons: pinball and log loss."""
        import numpy as np
        from sklearn.metrics import log_loss, mean_pinball_loss

        rows = np.unique(np.linspace(0, len(self.validation) - 1, ROWS_WATCHED).astype(int))
        features = self.validation.features[rows]
        losses: dict[str, list[list[float]]] = {"pinball": [], "log_loss": []}
        with _one_thread():
            for h, classifier in enumerate(self.classifiers):
                returns, directions = self.validation.returns[rows, h], self.validation.directions[rows, h]
                for level, regressor in zip(QUANTILES, self.regressors[h], strict=True):
                    staged = regressor.staged_predict(features)
                    losses["pinball"].append([mean_pinball_loss(returns, each, alpha=level) for each in staged])
                if classifier is not None and set(directions) <= set(classifier.classes_):
                    stages = classifier.staged_predict_proba(features)
                    losses["log_loss"].append([log_loss(directions, p, labels=classifier.classes_) for p in stages])
        steps = {name: np.mean(each, axis=0).tolist() for name, each in losses.items() if each}
        return [dict(zip(steps, values, strict=True)) for values in zip(*steps.values(), strict=True)]

    def _estimators(self) -> list[Any]:
        return [*(each for row in self.regressors for each in row), *(each for each in self.classifiers if each)]


class HistGradientBoosting:
    """The family; see the module."""

    hyperparameters = Hyperparameters
    packages = ("scikit-learn", "numpy", "scipy")

    def fit(
        self, train: Matrix, validation: Matrix, hyperparameters: Hyperparameters, seed: int, progress: Progress
    ) -> FittedBoosting:
        """Fit all estimators to `train`; `validation` is only looked at, for the history.

        The seed decides which rows the histograms' bins are made of where there are over 200,000.

        Raises:
            TrainingError: scikit-learn refuses.
        """
        import numpy as np
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        given = {**hyperparameters.model_dump(), "random_state": seed, "early_stopping": False}
        tasks: list[tuple[Any, NDArray[Any]]] = []
        for h in range(len(train.horizons)):
            tasks += [
                (HistGradientBoostingRegressor(loss="quantile", quantile=level, **given), train.returns[:, h])
                for level in QUANTILES
            ]
            classifier = HistGradientBoostingClassifier(**given)
            tasks.append((classifier if len(np.unique(train.directions[:, h])) > 1 else None, train.directions[:, h]))
        fitted = _fit_side_by_side(train.features, tasks, progress)
        per_horizon = len(QUANTILES) + 1
        classifiers = tuple(fitted[len(QUANTILES) :: per_horizon])
        return FittedBoosting(
            feature_names=train.feature_names,
            horizons=train.horizons,
            regressors=tuple(
                tuple(fitted[start : start + len(QUANTILES)]) for start in range(0, len(fitted), per_horizon)
            ),
            classifiers=classifiers,
            only_classes=tuple(
                int(train.directions[0, h]) if classifier is None else None for h, classifier in enumerate(classifiers)
            ),
            validation=validation,
        )


FAMILY: Family[Hyperparameters] = HistGradientBoosting()


def _fit_side_by_side(
    features: NDArray[np.float32], tasks: list[tuple[Any, NDArray[Any]]], progress: Progress
) -> list[Any]:
    """Fit each estimator to its labels, as many at once as there are cores; None stays None."""
    from concurrent.futures import ThreadPoolExecutor

    def fitted(estimator: Any, labels: NDArray[Any]) -> Any:  # noqa: ANN401 - scikit-learn has no types
        if estimator is None:
            return None
        with _one_thread():
            return estimator.fit(features, labels)

    results = []
    with ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0))) as pool:
        futures = [pool.submit(fitted, *task) for task in tasks]
        try:
            for done, future in enumerate(futures, start=1):
                results.append(future.result())
                progress(done, len(tasks))
        except ValueError as error:
            raise refusal("scikit-learn", error) from error
        finally:
            for future in futures:
                future.cancel()  # after an error or an interrupt; those that are done do not mind
    return results


def _one_thread() -> AbstractContextManager[object]:
    """Hold the calling thread to one OpenMP thread."""
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    limits: AbstractContextManager[object] = threadpool_limits(limits=1, user_api="openmp")
    return limits


def _trees(estimator: Any, targets: Sequence[int]) -> list[Tree]:  # noqa: ANN401 - scikit-learn has no types
    """Return the estimator's trees, target by target, from the private attributes where every exporter reads them."""
    return [
        _tree(iteration[k].nodes, target) for k, target in enumerate(targets) for iteration in estimator._predictors
    ]


def _tree(nodes: NDArray[Any], target: int) -> Tree:
    import numpy as np

    leaf = nodes["is_leaf"].astype(bool)

    def of_branches(name: str, dtype: type) -> NDArray[Any]:
        return np.where(leaf, 0, nodes[name]).astype(dtype)

    return Tree(
        feature=of_branches("feature_idx", np.int64),
        threshold=of_branches("num_threshold", np.float64),
        left=of_branches("left", np.int64),
        right=of_branches("right", np.int64),
        leaf=leaf,
        values=nodes["value"].astype(np.float64)[:, None],
        first=target,
    )
