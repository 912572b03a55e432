"""Whether the exported model forecasts as the trained one does, on a golden set of rows where they might differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.exceptions import ParityError, ScoringError
from mlops.modelling import Matrix, Subset
from mlops.scoring import Scorer
from mlops.training.family import FittedModel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TOLERANCE = 1e-5
"""Largest absolute difference that is let pass, of a return as a fraction or of a probability."""

GOLDEN_ROWS = 512


def golden_set(matrix: Matrix, native: FittedModel) -> NDArray[np.float32]:
    """Return the rows to compare on, [n, features], always the same for the same data and model.

    Rows spread evenly over validation and test; the middle of the train subset, also with one feature after the other,
    and with all at once, at the least and the greatest value that training saw; and the probes of the model's family.
    """
    import numpy as np

    train = matrix.of(Subset.TRAIN).features
    later = np.concatenate([matrix.of(Subset.VALIDATION).features, matrix.of(Subset.TEST).features])
    spread = later[np.unique(np.linspace(0, len(later) - 1, GOLDEN_ROWS).astype(int))]
    middle = np.median(train, axis=0).astype(np.float32)
    extremes = [train.min(axis=0), train.max(axis=0)]
    one_by_one = [np.where(np.eye(len(middle), dtype=bool), extreme, middle) for extreme in extremes]
    return np.concatenate([spread, [middle], extremes, *one_by_one, native.probes(middle)]).astype(np.float32)


def require_parity(native: FittedModel, artifact: bytes, golden: NDArray[np.float32]) -> float:
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
