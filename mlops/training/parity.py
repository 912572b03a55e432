"""Whether the exported model says what the trained one says, on a golden set that looks for where they might not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from mlops.exceptions import ParityError, ScoringError
from mlops.modelling import Matrix, Part
from mlops.scoring import Scorer
from mlops.training.trees import Forest, round_down

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TOLERANCE = 1e-5
"""Largest absolute difference that is let pass, of a return as a fraction or of a probability."""

GOLDEN_ROWS = 512
THRESHOLDS_PER_FEATURE = 32


class Native(Protocol):
    """A fitted model, before its export."""

    def predict(self, features: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return quantiles [n, horizons, quantiles], rearranged, and probabilities [n, horizons, classes]."""
        ...

    def forest(self) -> Forest:
        """Return its trees."""
        ...


def golden_set(matrix: Matrix, forest: Forest) -> NDArray[np.float32]:
    """Return the rows to compare on, [n, features], always the same for the same data and trees.

    Rows spread evenly over validation and test; the middle of the train part with one feature after the other, and
    all at once, at the least and the greatest value that training saw; and the middle with one feature exactly at a
    threshold and one float32 step above it, where rounding would send a row into the other branch.
    """
    import numpy as np

    train = matrix.of(Part.TRAIN).features
    later = np.concatenate([matrix.of(Part.VALIDATION).features, matrix.of(Part.TEST).features])
    spread = later[np.unique(np.linspace(0, len(later) - 1, GOLDEN_ROWS).astype(int))]
    middle = np.median(train, axis=0).astype(np.float32)
    least, greatest = train.min(axis=0), train.max(axis=0)
    rows = [spread, np.stack([middle, least, greatest])]
    for column, thresholds in _thresholds(forest).items():
        chosen = thresholds[np.unique(np.linspace(0, len(thresholds) - 1, THRESHOLDS_PER_FEATURE).astype(int))]
        values = np.concatenate(
            [[least[column], greatest[column]], chosen, np.nextafter(chosen, np.float32(np.inf), dtype=np.float32)]
        )
        varied = np.tile(middle, (len(values), 1))
        varied[:, column] = values
        rows.append(varied)
    return np.concatenate(rows).astype(np.float32)


def _thresholds(forest: Forest) -> dict[int, NDArray[np.float32]]:
    """Return the distinct thresholds of each feature that is split on, rounded as in the graph, ascending."""
    import numpy as np

    trees = [tree for target in forest.targets() for tree in target.trees]
    if not trees:
        return {}
    branch = ~np.concatenate([tree.leaf for tree in trees])
    feature = np.concatenate([tree.feature for tree in trees])[branch]
    threshold = round_down(np.concatenate([tree.threshold for tree in trees])[branch])
    return {int(column): np.unique(threshold[feature == column]) for column in np.unique(feature)}


def require_parity(native: Native, artifact: bytes, golden: NDArray[np.float32]) -> float:
    """Return the largest absolute difference between native and exported model over the rows of `golden`.

    Raises ParityError where it is not below TOLERANCE, or where the exported model cannot be scored or gives what no
    forecast can be.
    """
    import numpy as np

    try:
        quantiles, probabilities = Scorer(artifact).score(golden)
    except ScoringError as error:
        raise ParityError(f"The exported model was not registered. {error}") from error
    expected = native.predict(golden)
    differences = [
        float(np.abs(exported - wanted).max())
        for exported, wanted in zip((quantiles, probabilities), expected, strict=True)
    ]
    if not max(differences) < TOLERANCE:
        raise ParityError(
            f"The exported model differs from the trained one by {differences[0]:.2e} in quantiles and "
            f"{differences[1]:.2e} in probabilities on {len(golden)} rows; at most {TOLERANCE:.0e} may be. "
            "It was not registered.",
            max_abs_diff=max(differences),
        )
    return max(differences)
