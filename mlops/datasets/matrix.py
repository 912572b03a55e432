"""The rows of a run as arrays, always in the same order, and the fingerprint that tells two sets apart."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import Connection

from mlops.datasets.materialise import Materialised
from mlops.exceptions import DatasetError
from mlops.modelling import Matrix, Subset
from mlops.warehouse import sql
from mlops.warehouse.reading import read_arrays

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_COLUMNS = ("symbol_id", "as_of", "subset", "features", "returns")


def read_matrix(connection: Connection, run_id: UUID, horizons: tuple[int, ...], materialised: Materialised) -> Matrix:
    """Return the rows of the run's three subsets, ordered by `as_of` and then symbol, features rounded to float32.

    Symbols are ordered by exchange and ticker: two databases with the same rows give the same matrix, in whatever order
    the symbols came in.

    float32 is what the exported model compares in: what is trained on the rounded values has no value that falls on
    the other side of a threshold after the export.

    Args:
        connection: to the warehouse.
        run_id: whose rows `materialise` has put into ml.training_rows.
        horizons: which labels, an ascending choice of those of the label set.
        materialised: what it has put there; a feature or label that was rewritten since is not read.

    Raises:
        DatasetError: rows are missing because they were rewritten meanwhile, or hold a value that is no number.
    """
    import numpy as np

    connection.execute(sql("datasets", "planning"))
    parameters = {
        "run_id": run_id,
        "feature_set": materialised.feature_set.name,
        "feature_set_version": materialised.feature_set_version,
        "label_set": materialised.label_set.name,
        "label_set_version": materialised.label_set.version,
        "recorded_until": materialised.recorded_until,
    }
    read = read_arrays(connection, sql("datasets", "matrix"), parameters, _COLUMNS)
    n_missing = materialised.n_used - len(read["symbol_id"])
    if n_missing:
        raise DatasetError(
            f"{n_missing} of {materialised.n_used} training rows were rewritten while the run went on. "
            "Train again when no features are being built.",
            run_id=run_id,
        )
    symbols, symbol = _named(connection, read["symbol_id"])
    order = np.lexsort((symbol, read["as_of"]))
    chosen = list(materialised.label_set.places(horizons))
    features = read["features"].astype(np.float32)[order]
    returns = read["returns"][:, chosen][order]
    if not np.isfinite(features).all() or not np.isfinite(returns).all():
        raise DatasetError(
            "A training row has a feature or label that is missing, infinite or too large for float32. "
            "`forecastle check` names the rows.",
            run_id=run_id,
        )
    subset = read["subset"].astype(np.int8)[order]
    if (np.diff(subset) < 0).any() or set(subset.tolist()) != set(range(len(Subset))):
        raise DatasetError("The parts of the training set do not follow each other in time.", run_id=run_id)
    return Matrix(
        feature_names=materialised.feature_set.names,
        horizons=horizons,
        features=features,
        returns=returns,
        directions=_directions(returns, materialised.label_set.thresholds_of(horizons)),
        subset=subset,
        symbols=symbols,
        symbol=symbol[order],
        as_of=read["as_of"][order],
    )


def _directions(returns: NDArray[np.float64], thresholds: tuple[float, ...]) -> NDArray[np.int8]:
    """Return which way `returns` [n, horizons] go, as `Matrix` has it: one of exactly the threshold is neutral."""
    import numpy as np

    return np.where(returns > thresholds, 0, np.where(returns < np.negative(thresholds), 2, 1)).astype(np.int8)


def _named(connection: Connection, ids: NDArray[np.int64]) -> tuple[tuple[tuple[str, str], ...], NDArray[np.int64]]:
    """Return exchange and ticker of the symbols of `ids` [n], ascending, and for each row its place among them, [n]."""
    import numpy as np

    distinct, inverse = np.unique(ids, return_inverse=True)
    rows = connection.execute(sql("datasets", "symbols"), {"ids": distinct.tolist()})
    names = {row.id: (row.exchange, row.ticker) for row in rows}
    symbols = tuple(sorted(names.values()))
    place = {name: number for number, name in enumerate(symbols)}
    places = np.array([place[names[each]] for each in distinct.tolist()], dtype=np.int64)
    return symbols, places[inverse]


def fingerprint(matrix: Matrix) -> str:
    """Return the SHA-256, in hexadecimal, of what training sees: the same rows give the same, in any database.

    Hashed are, in the matrix's order: the names of the features, the horizons and the symbols, then the bytes,
    little-endian, row by row, of `as_of` (int64 microseconds since 1970 UTC), the symbol's place (int64),
    subset (int8), features (float32), returns (float64) and directions (int8), one array after the other.
    """
    import numpy as np

    def little_endian(array: NDArray[np.generic], dtype: str) -> NDArray[np.generic]:
        return np.ascontiguousarray(array, dtype=dtype)

    digest = hashlib.sha256(repr((matrix.feature_names, matrix.horizons, matrix.symbols)).encode())
    for array, dtype in (
        (matrix.as_of.astype("datetime64[us]").view(np.int64), "<i8"),
        (matrix.symbol, "<i8"),
        (matrix.subset, "i1"),
        (matrix.features, "<f4"),
        (matrix.returns, "<f8"),
        (matrix.directions, "i1"),
    ):
        digest.update(little_endian(array, dtype).data)
    return digest.hexdigest()
