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
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops.domain import QUANTILES
from mlops.exceptions import TrainingError
from mlops.modelling import Matrix
from mlops.scoring import CLASSES
from mlops.training.trees import ABSENT, Forest, Target, Tree

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

PACKAGES = ("scikit-learn", "numpy", "scipy")
"""What decides, besides our code and the data, which trees are grown."""


@dataclass(frozen=True, slots=True)
class FittedBoosting:
    """The fitted estimators: by horizon, the regressors in the order of the quantiles, and the classifier.

    A classifier is None where training has seen only one class, which is then certain.
    """

    feature_names: tuple[str, ...]
    horizons: tuple[int, ...]
    regressors: tuple[tuple[HistGradientBoostingRegressor, ...], ...]
    classifiers: tuple[HistGradientBoostingClassifier | None, ...]
    only_classes: tuple[int | None, ...]

    def predict(self, features: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return what scikit-learn says of `features` [n, features], as `mlops.scoring.Scorer.score` does.

        Quantiles are rearranged, and a class that training never saw has probability 0.
        """
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

    def forest(self) -> Forest:
        """Return the trees of all estimators."""
        return Forest(
            feature_names=self.feature_names,
            horizons=self.horizons,
            quantiles=[[_targets(regressor)[0] for regressor in row] for row in self.regressors],
            classes=[
                _class_targets(classifier, only)
                for classifier, only in zip(self.classifiers, self.only_classes, strict=True)
            ],
        )


def fit(
    train: Matrix, hyperparameters: dict[str, Any], seed: int, progress: Callable[[int, int], None]
) -> FittedBoosting:
    """Fit all estimators to the rows of `train`.

    Args:
        train: features rounded to float32, and labels.
        hyperparameters: by scikit-learn's names; see `mlops.spec.Hyperparameters`.
        seed: of whatever is drawn at random: which rows decide the histograms' bins where there are over 200,000.
        progress: told how many of how many estimators are done.

    Raises:
        TrainingError: scikit-learn refuses.
    """
    import numpy as np
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    given = {**hyperparameters, "random_state": seed, "early_stopping": False}
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
        regressors=tuple(tuple(fitted[start : start + len(QUANTILES)]) for start in range(0, len(fitted), per_horizon)),
        classifiers=classifiers,
        only_classes=tuple(
            int(train.directions[0, h]) if classifier is None else None for h, classifier in enumerate(classifiers)
        ),
    )


def _fit_side_by_side(
    features: NDArray[np.float32], tasks: list[tuple[Any, NDArray[Any]]], progress: Callable[[int, int], None]
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
            raise TrainingError(f"scikit-learn refused: {' '.join(str(error).split())[:200]}") from error
        finally:
            for future in futures:
                future.cancel()  # after an error or an interrupt; those that are done do not mind
    return results


def _one_thread() -> AbstractContextManager[object]:
    """Hold the calling thread to one OpenMP thread."""
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    limits: AbstractContextManager[object] = threadpool_limits(limits=1, user_api="openmp")
    return limits


def _targets(estimator: Any) -> list[Target]:  # noqa: ANN401 - scikit-learn has no types
    """Return the estimator's sums, from the private attributes where every exporter reads them."""
    bases = estimator._baseline_prediction.ravel()
    return [
        Target(base=float(base), trees=[_tree(iteration[k].nodes) for iteration in estimator._predictors])
        for k, base in enumerate(bases)
    ]


def _class_targets(classifier: Any, only: int | None) -> list[Target]:  # noqa: ANN401 - scikit-learn has no types
    """Return one sum a class, such that their softmax is the classifier's probabilities."""
    scores = [Target(base=ABSENT, trees=[]) for _ in CLASSES]
    if only is not None:
        scores[only] = Target(base=0.0, trees=[])
        return scores
    sums = _targets(classifier)
    if len(sums) == 1:  # two classes: the sigmoid of one sum is the softmax of zero and that sum
        sums = [Target(base=0.0, trees=[]), *sums]
    for position, target in zip(classifier.classes_, sums, strict=True):
        scores[int(position)] = target
    return scores


def _tree(nodes: NDArray[Any]) -> Tree:
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
        value=nodes["value"].astype(np.float64),
    )
