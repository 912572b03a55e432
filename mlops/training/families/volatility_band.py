"""What a practitioner does without a model: a median of zero, and a band as wide as the volatility of the moment.

One feature says how volatile a symbol is now (`scale`). The band is that feature times quantiles of the training
part's returns, each divided by the feature at its time: volatility-scaled historical simulation, as in J. Hull and A.
White, "Incorporating Volatility Updating into the Historical Simulation Method for Value-at-Risk" (Journal of Risk 1,
1998). The direction has the frequencies of the classes among the training rows that were about as volatile.

It is the baseline that every candidate is held against, exported and scored like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field

from mlops.domain import QUANTILES
from mlops.exceptions import TrainingError
from mlops.modelling import Matrix, ModelInput
from mlops.scoring import CLASSES
from mlops.spec import Section
from mlops.training.artifact import assemble, constant
from mlops.training.family import Family, Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LOWEST = -0.99
"""A return that no band goes below: however volatile a symbol is, it cannot lose more than all."""


class Hyperparameters(Section):
    """Hyperparameters of the volatility band."""

    scale: str = Field(
        "atr_14",
        pattern=r"^[a-z][a-z0-9_]*$",
        max_length=63,
        description="The feature that says how volatile a symbol is: a fraction of the price, never negative.",
    )
    bins: int = Field(
        20, gt=0, le=1000, description="Into how many bins of as many rows `scale` is cut for the class frequencies."
    )


@dataclass(frozen=True, slots=True)
class FittedBand:
    """The band.

    Attributes:
        column: of `scale` in the matrix.
        per_scale: float32 [horizons, quantiles]; what the scale is multiplied by.
        edges: float32 [bins - 1]; bin i holds edges[i-1] <= scale < edges[i].
        frequencies: float32 [bins, horizons, classes].
    """

    feature_names: tuple[str, ...]
    horizons: tuple[int, ...]
    column: int
    per_scale: NDArray[np.float32]
    edges: NDArray[np.float32]
    frequencies: NDArray[np.float32]

    def predict(self, features: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the band and the frequencies by NumPy in float64; a negative scale counts as 0."""
        import numpy as np

        scale = np.maximum(features[:, self.column], np.float32(0))
        quantiles = scale[:, None, None].astype(np.float64) * self.per_scale.astype(np.float64)
        bins = np.searchsorted(self.edges, scale, side="right")
        return np.maximum(quantiles, LOWEST), self.frequencies[bins].astype(np.float64)

    def export(self, inputs: ModelInput) -> bytes:
        """Return the graph: one multiplication, and one row of a table looked up."""
        import numpy as np
        from onnx import helper

        shape = np.array([-1, len(self.horizons), len(QUANTILES)], dtype=np.int64)
        nodes = [
            helper.make_node("Gather", ["features", "column"], ["signed"], name="take_scale", axis=1),
            helper.make_node("Relu", ["signed"], ["scale"], name="no_negative_scale"),
            helper.make_node("Mul", ["scale", "per_scale"], ["flat"], name="scale_quantiles"),
            helper.make_node("Reshape", ["flat", "shape"], ["wide"], name="shape_quantiles"),
            helper.make_node("Max", ["wide", "lowest"], ["quantiles"], name="no_more_than_all"),
            helper.make_node("GreaterOrEqual", ["scale", "edges"], ["reached"], name="compare"),
            helper.make_node("Cast", ["reached"], ["ones"], name="count_from", to=7),  # 7: int64
            helper.make_node("ReduceSum", ["ones", "last_axis"], ["bin"], name="count", keepdims=0),
            helper.make_node("Gather", ["frequencies", "bin"], ["probabilities"], name="look_up", axis=0),
        ]
        constants = [
            constant("column", np.array([self.column], dtype=np.int64)),
            constant("per_scale", self.per_scale.reshape(1, -1)),
            constant("shape", shape),
            constant("lowest", np.array(LOWEST, dtype=np.float32)),
            constant("edges", self.edges.reshape(1, -1)),
            constant("last_axis", np.array([1], dtype=np.int64)),
            constant("frequencies", self.frequencies),
        ]
        return assemble(nodes, constants, inputs, self.horizons)

    def probes(self, middle: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return rows with the scale at each edge, one float32 step below it, at 0, below 0, and at the whole price."""
        import numpy as np

        below = np.nextafter(self.edges, np.float32(-np.inf), dtype=np.float32)
        scales = np.concatenate([self.edges, below, np.array([0.0, -1.0, 1.0], dtype=np.float32)])
        rows = np.tile(middle, (len(scales), 1))
        rows[:, self.column] = scales
        return rows

    def importances(self) -> Mapping[str, float]:
        """Return 1 for the scale and 0 for all else."""
        return {name: float(place == self.column) for place, name in enumerate(self.feature_names)}

    def history(self) -> Sequence[Mapping[str, float]]:
        """Return nothing: there are no steps."""
        return ()


class VolatilityBand:
    """The family; see the module."""

    hyperparameters = Hyperparameters
    packages = ("numpy",)

    def fit(
        self, train: Matrix, validation: Matrix, hyperparameters: Hyperparameters, seed: int, progress: Progress
    ) -> FittedBand:
        """Take the quantiles and the frequencies of `train`; `validation` and `seed` play no part.

        A class that a bin lacks is not impossible there: each has one row more than was seen (P.-S. Laplace's rule of
        succession), so that a single surprise does not cost an endless log loss.

        Raises:
            TrainingError: there is no feature `scale`, or it is negative or 0 in more than half of the rows.
        """
        import numpy as np

        if hyperparameters.scale not in train.feature_names:
            raise TrainingError(
                f"hyperparameters.scale: {hyperparameters.scale!r} is none of the features: "
                f"{', '.join(train.feature_names)}."
            )
        column = train.feature_names.index(hyperparameters.scale)
        scale = train.features[:, column]
        if (scale < 0).any() or np.median(scale) == 0:
            raise TrainingError(
                f"hyperparameters.scale: {hyperparameters.scale!r} is negative in {int((scale < 0).sum())} and 0 in "
                f"{int((scale == 0).sum())} of {len(scale)} rows, so it does not say how volatile a symbol is."
            )
        moved = scale > 0
        scaled = train.returns[moved] / scale[moved, None].astype(np.float64)
        per_scale = np.quantile(scaled, QUANTILES, axis=0).T
        # The median is zero by definition, so the band is on both sides of it.
        low, high = np.minimum(per_scale[:, 0], 0), np.maximum(per_scale[:, 2], 0)
        per_scale = np.stack([low, np.zeros_like(low), high], axis=1)
        levels = np.arange(1, hyperparameters.bins) / hyperparameters.bins
        # Edges are values of the feature itself, so that they are float32 exactly. No row is below the smallest value,
        # so it is no edge.
        edges = np.unique(np.quantile(scale, levels, method="inverted_cdf")).astype(np.float32)
        edges = edges[edges > scale.min()]
        bins = np.searchsorted(edges, scale, side="right")
        frequencies = np.empty((len(edges) + 1, len(train.horizons), len(CLASSES)))
        for h in range(len(train.horizons)):
            cells = np.bincount(bins * len(CLASSES) + train.directions[:, h], minlength=frequencies[:, h].size)
            counts = cells.reshape(-1, len(CLASSES)) + 1.0
            frequencies[:, h] = counts / counts.sum(axis=1, keepdims=True)
        progress(1, 1)
        return FittedBand(
            feature_names=train.feature_names,
            horizons=train.horizons,
            column=column,
            per_scale=per_scale.astype(np.float32),
            edges=edges,
            frequencies=frequencies.astype(np.float32),
        )


FAMILY: Family[Hyperparameters] = VolatilityBand()
