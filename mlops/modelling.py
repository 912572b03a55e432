"""What datasets, training and registry hand to each other: the data of a run and the model that came of it.

Plain types: they hold arrays and facts, and compute nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ModelInput:
    """One input of a model: which features it takes, in which order.

    Attributes:
        name: of the input in the ONNX graph.
        kind: `row`: the features of one bar, float32 [n, features].
        feature_set: where the features come from.
        feature_set_version: the version of them that the model was trained on.
        features: names, in the order of the input's last axis.
    """

    name: str
    kind: Literal["row"]
    feature_set: str
    feature_set_version: str
    features: tuple[str, ...]


class Subset(StrEnum):
    """The three subsets of a chronological split, in the order of time; a matrix numbers them 0, 1, 2."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """Where the subsets of a chronological split begin, for all symbols alike.

    All moments are UTC and belong to the later subset. `mlops.datasets.split` says how the plan is made and
    which subset a row is in.

    Attributes:
        train_from: the first date.
        validation_from: the first date of the validation subset, its embargo included.
        validation_open_from: the first date of the validation subset that is used.
        test_from: the first date of the test subset, its embargo included.
        test_open_from: the first date of the test subset that is used.
        test_to: the last date.
        dates: how many dates each subset has before purge and embargo: train, validation, test.
        embargo: dates left out after each boundary.
        longest_horizon: bars ahead of the longest label, which decides what is purged.
    """

    train_from: datetime
    validation_from: datetime
    validation_open_from: datetime
    test_from: datetime
    test_open_from: datetime
    test_to: datetime
    dates: tuple[int, int, int]
    embargo: int
    longest_horizon: int


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """What a training set is, so that a version can say what it was trained on.

    Attributes:
        plan: the split.
        rows: number of rows by subset, `purged` and `embargoed` among them.
        excluded: number of rows that are in no subset, by cause.
        data_from: `as_of` of the first row in any subset, UTC.
        data_to: when the last label used is known, UTC: nothing later has entered.
        feature_set_version: the one version that all rows' features are of.
        label_set: what the labels are of.
        label_set_version: names the definition of the labels.
        thresholds: for each horizon, beyond which return, as a fraction, a direction is BULLISH or BEARISH.
        fingerprint: SHA-256 of what the matrix holds; see `mlops.datasets.matrix.fingerprint`.
        symbols: of how many symbols the rows of the three subsets are.
    """

    plan: SplitPlan
    rows: Mapping[str, int]
    excluded: Mapping[str, int]
    data_from: datetime
    data_to: datetime
    feature_set_version: str
    label_set: str
    label_set_version: str
    thresholds: tuple[float, ...]
    fingerprint: str
    symbols: int


@dataclass(frozen=True, slots=True)
class Matrix:
    """Features and labels of the rows of a run, ordered by `as_of`, then symbol.

    A symbol goes by its exchange and ticker, which are the same in every database; its number in one is not.

    Attributes:
        features: float32 [n, features]; columns in the order of `feature_names`. No value is missing or infinite.
        returns: float64 [n, horizons]; forward returns as fractions, in the order of `horizons`.
        directions: int8 [n, horizons]; 0 BULLISH, 1 NEUTRAL, 2 BEARISH.
        subset: int8 [n]; 0 train, 1 validation, 2 test; never descending.
        symbols: exchange and ticker of each symbol, ascending.
        symbol: int64 [n]; place in `symbols`.
        as_of: datetime64[us] [n], UTC.
    """

    feature_names: tuple[str, ...]
    horizons: tuple[int, ...]
    features: NDArray[np.float32]
    returns: NDArray[np.float64]
    directions: NDArray[np.int8]
    subset: NDArray[np.int8]
    symbols: tuple[tuple[str, str], ...]
    symbol: NDArray[np.int64]
    as_of: NDArray[np.datetime64]

    def of(self, subset: Subset) -> Matrix:
        """Return the rows of `subset`, as views."""
        code = tuple(Subset).index(subset)
        rows = slice(int(self.subset.searchsorted(code, "left")), int(self.subset.searchsorted(code, "right")))
        return Matrix(
            feature_names=self.feature_names,
            horizons=self.horizons,
            features=self.features[rows],
            returns=self.returns[rows],
            directions=self.directions[rows],
            subset=self.subset[rows],
            symbols=self.symbols,
            symbol=self.symbol[rows],
            as_of=self.as_of[rows],
        )

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.features)


@dataclass(frozen=True, slots=True)
class Reference:
    """How a feature, or a prediction, was distributed: what its drift is measured against.

    Attributes:
        feature: the feature's name, or the prediction's, like `p50_h5`.
        edges: inner decile edges, ascending and distinct; bin i holds edges[i-1] <= x < edges[i].
        counts: rows in each bin, one more than edges.
    """

    feature: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Baseline:
    """What realised accuracy is held against, and the naive forecasts of a horizon.

    Attributes:
        accuracy: directional accuracy on the validation subset, 0 to 1.
        train_median: median forward return of the train subset, as a fraction.
        majority_class: the most frequent direction of the train subset.
    """

    horizon: int
    accuracy: float
    train_median: float
    majority_class: str


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A model that has passed its parity check, as bytes, with everything that is known of it.

    Attributes:
        artifact: the ONNX file.
        inputs: what it takes.
        metrics: by subset, horizon and name; see `mlops.training.metrics`.
        importances: each feature's share in the fit, by name; how it is measured depends on the family.
        history: the loss, one entry a step of the fit; empty for a family without steps.
        parity_max_abs_diff: the largest difference to the native model on the golden set.
        tolerance: the largest that would have been let pass.
        packages: version of each package that had a hand in it.
        seconds: wall-clock time by step.
    """

    artifact: bytes
    inputs: tuple[ModelInput, ...]
    metrics: Mapping[str, Any]
    importances: Mapping[str, float]
    history: Sequence[Mapping[str, float]]
    parity_max_abs_diff: float
    tolerance: float
    references: tuple[Reference, ...]
    baselines: tuple[Baseline, ...]
    packages: Mapping[str, str]
    seconds: Mapping[str, float]
