"""What a model family is: the contract that `training` holds each to, so that it need not know any of them.

A family is one module in `mlops/training/families/`, which a specification names by its file name. It binds an object
of this protocol to `FAMILY`. Its library is imported inside its functions alone: `forecastle
--help`, a forecast and the daemon start without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from mlops.exceptions import TrainingError
from mlops.modelling import Matrix, ModelInput
from mlops.spec import Section

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Progress = Callable[[int, int], None]
"""Called with how many steps of the fit are done, and how many there are."""


class FittedModel(Protocol):
    """A model of any family, fitted and not yet exported."""

    def predict(self, features: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the forecasts of the family's own library for `features` [n, features], to compare the export with.

        Quantiles of the forward return as fractions, [n, horizons, quantiles], ascending along the last axis; and
        probabilities of the directions, [n, horizons, classes], each row summing to 1.
        """
        ...

    def export(self, inputs: ModelInput) -> bytes:
        """Return the ONNX file that makes the same forecasts from `inputs`. The same model gives the same bytes."""
        ...

    def probes(self, middle: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return rows, [n, features], on which the export might differ from the model: they join the golden set.

        Args:
            middle: a row of the middle of the training subset, [features], to vary.
        """
        ...

    def importances(self) -> Mapping[str, float]:
        """Return how much each feature had to do with the fit, by name: shares that sum to 1, or all 0."""
        ...

    def history(self) -> Sequence[Mapping[str, float]]:
        """Return how the loss went, one entry a step of the fit; empty for a family that has no steps."""
        ...


def refusal(library: str, error: Exception) -> TrainingError:
    """Return what to raise where a family's library refuses: its own words, cut to a line."""
    return TrainingError(f"{library} refused: {' '.join(str(error).split())[:200]}")


H_contra = TypeVar("H_contra", bound=Section, contravariant=True)


class Family(Protocol[H_contra]):
    """One way to learn from a matrix.

    Attributes:
        hyperparameters: the type of what a specification says under [hyperparameters], each bounded and described.
        packages: distributions that decide, besides our code and the data, what is fitted; a version records theirs.
    """

    @property
    def hyperparameters(self) -> type[Section]:
        """The type of the family's hyperparameters."""
        ...

    @property
    def packages(self) -> tuple[str, ...]:
        """The distributions whose versions a model of this family records."""
        ...

    def fit(
        self, train: Matrix, validation: Matrix, hyperparameters: H_contra, seed: int, progress: Progress
    ) -> FittedModel:
        """Return a model fitted to `train`. The same rows, hyperparameters and seed give the same model on any machine.

        Args:
            train: features rounded to float32, and labels.
            validation: later rows, to watch the fit by or to stop it; nothing of them may be fitted to.
            hyperparameters: of this family's type.
            seed: of whatever is drawn at random.
            progress: called with how far the fit is.

        Raises:
            TrainingError: the rows cannot be fitted, or the library refuses.
        """
        ...
