"""The one way to score: a registered model's ONNX bytes in, quantiles and probabilities out.

Parity at registration, forecasting, backtests and drift all score through `Scorer`, so that what was proven of a
model is what is used of it. Nothing of the library that trained the model is imported.

One thread on the CPU: a sum over trees in float32 depends on the order of its terms, and a forecast made twice has
to be the same bit for bit, on a machine with more cores as well.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from mlops.domain import Direction, ModelVersion
from mlops.exceptions import ArtifactCorruptError, ScoringError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CLASSES: tuple[str, ...] = tuple(Direction)
"""The directions in the order of the model's `probabilities`."""

_ERROR = 3  # ONNX Runtime's log severities: 0 verbose, 1 info, 2 warning, 3 error, 4 fatal


def intact(stored: bytes | memoryview | None, sha256: str, version: ModelVersion) -> bytes:
    """Return the `stored` bytes of `version`, for every load to go through: they are those registered as `sha256`.

    Raises ArtifactCorruptError where they are not, or are gone (None).
    """
    artifact = None if stored is None else bytes(stored)
    if artifact is None or hashlib.sha256(artifact).hexdigest() != sha256:
        raise ArtifactCorruptError(
            f"The bytes of {version} are {'gone' if artifact is None else 'not those that were registered'} "
            f"(SHA-256 {sha256[:12]}...). Restore ml.artifacts from a backup, or train again.",
            version=version,
            sha256=sha256,
        )
    return artifact


class Scorer:
    """A model ready to score.

    Attributes:
        feature_names: the model's inputs, in the order of the columns of `score`'s matrix.
        horizons: bars ahead, in the order of the second axis of `score`'s results.
        quantiles: levels of the quantiles, ascending.
        classes: directions in the order of the probabilities.
        feature_set_version: the version of the features that the model was trained on.
    """

    def __init__(self, model: bytes) -> None:
        """Load `model`, an ONNX file's bytes. Raises ScoringError where it is none of ours."""
        import onnxruntime as ort

        ort.set_default_logger_severity(_ERROR)
        options = ort.SessionOptions()
        options.log_severity_level = _ERROR
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        try:
            self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
            raise ScoringError(f"The model cannot be loaded: {' '.join(str(error).split())[:200]}") from error
        facts = self._session.get_modelmeta().custom_metadata_map
        try:
            self.feature_names: tuple[str, ...] = tuple(json.loads(facts["feature_names"]))
            self.horizons: tuple[int, ...] = tuple(json.loads(facts["horizons"]))
            self.quantiles: tuple[float, ...] = tuple(json.loads(facts["quantiles"]))
            self.classes: tuple[str, ...] = tuple(json.loads(facts["classes"]))
            self.feature_set_version: str = json.loads(facts["feature_set_version"])
        except (KeyError, ValueError, TypeError) as error:
            raise ScoringError(
                f"The model does not say what it takes and gives ({error!r}), so it was not made by Forecastle."
            ) from error
        self._require_shapes()

    def _require_shapes(self) -> None:
        inputs = {each.name: (each.type, each.shape[1:]) for each in self._session.get_inputs()}
        outputs = {each.name: (each.type, each.shape[1:]) for each in self._session.get_outputs()}
        n_horizons = len(self.horizons)
        wanted_outputs = {
            "quantiles": ("tensor(float)", [n_horizons, len(self.quantiles)]),
            "probabilities": ("tensor(float)", [n_horizons, len(self.classes)]),
        }
        if (
            inputs != {"features": ("tensor(float)", [len(self.feature_names)])}
            or outputs != wanted_outputs
            or self.classes != CLASSES
        ):
            raise ScoringError(
                f"The model takes {inputs} and gives {outputs}, which is not what its own metadata says."
            )

    def score(self, features: NDArray[np.floating]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the forecasts of the rows of `features`.

        Args:
            features: [n, len(feature_names)], in the order of `feature_names`; rounded to float32 here, as in training.

        Returns:
            Quantiles of the forward return as fractions, [n, horizons, quantiles], ascending along the last axis; and
            probabilities of the directions, [n, horizons, classes], each row summing to 1. A row's result does not
            depend on the other rows.

        Raises:
            ScoringError: the shape is another, or a value is missing or infinite.
        """
        import numpy as np

        if features.ndim != 2 or features.shape[1] != len(self.feature_names):
            raise ScoringError(f"The model takes {len(self.feature_names)} features a row, not {features.shape}.")
        rows = np.ascontiguousarray(features, dtype=np.float32)
        if not np.isfinite(rows).all():
            at_fault = int((~np.isfinite(rows).all(axis=1)).sum())
            raise ScoringError(f"{at_fault} of {len(rows)} rows have a feature that is missing or infinite.")
        if len(rows) == 0:
            shape = (0, len(self.horizons))
            return (
                np.empty((*shape, len(self.quantiles)), dtype=np.float32),
                np.empty((*shape, len(self.classes)), dtype=np.float32),
            )
        quantiles, probabilities = self._session.run(["quantiles", "probabilities"], {"features": rows})
        return quantiles, probabilities
