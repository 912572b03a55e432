"""How features and predictions were distributed, so that drift can be measured without the training data.

Bins by deciles of the reference itself, as the population stability index has them by convention (N. Siddiqi, Credit
Risk Scorecards, 2006): each holds a tenth of the reference unless values repeat, so that no bin is empty by design.

Features are described on the train subset. Predictions are described on the validation subset: on the rows that a model
was fitted to, its predictions spread wider than they ever will again, and every forecast would look like drift.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.modelling import Matrix, Reference

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def describe(name: str, values: NDArray[np.floating]) -> Reference:
    """Return the reference of `values` [n]: bin i holds edges[i-1] <= x < edges[i], the outer two are open."""
    import numpy as np

    deciles = np.linspace(0.1, 0.9, 9)
    # inverted_cdf takes edges from the values themselves: a value that repeats is an edge exactly, not nearly
    edges = np.unique(np.quantile(values.astype(np.float64), deciles, method="inverted_cdf"))
    bins = np.searchsorted(edges, values, side="right")
    counts = np.bincount(bins, minlength=len(edges) + 1)
    return Reference(feature=name, edges=tuple(edges.tolist()), counts=tuple(counts.tolist()))


def references(train: Matrix, validation_medians: NDArray[np.floating]) -> tuple[Reference, ...]:
    """Return one reference a feature, and one a horizon for p50.

    Args:
        train: whose features are described.
        validation_medians: p50 on the validation subset, [n, horizons].
    """
    features = [describe(name, train.features[:, i]) for i, name in enumerate(train.feature_names)]
    predictions = [describe(f"p50_h{h}", validation_medians[:, i]) for i, h in enumerate(train.horizons)]
    return (*features, *predictions)
