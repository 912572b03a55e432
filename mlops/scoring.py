"""The one way to score: a registered model's ONNX bytes in, quantiles and probabilities out.

Parity at registration, forecasting, backtests and drift all score through `Scorer`, so that what was proven of a
model is what is used of it. Nothing of the library that trained the model is imported.

One thread on the CPU: a sum over trees in float32 depends on the order of its terms, and a forecast made twice has
to be the same bit for bit, on a machine with more cores as well.

A model is not trusted: what its graph holds is looked at before it is loaded (`mlops.onnx_graph`), a run has a
deadline, and what it gives is looked at before it is handed on. What is not bounded is loading: ONNX Runtime cannot be
stopped while it prepares a graph, nor between two looks at the clock inside one operator, and a graph that asks for
more memory than there is ends the process. Without control flow both take as long as the graph is large.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mlops.domain import Direction, ModelVersion
from mlops.exceptions import ArtifactCorruptError, ScoringError
from mlops.onnx_graph import require_plain

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CLASSES: tuple[str, ...] = tuple(Direction)
"""The directions in the order of the model's `probabilities`."""

PROBABILITY_TOLERANCE = 1e-5
"""By how much the probabilities of a row may miss a sum of 1, for rounding to float32."""

SECONDS_A_RUN = 10.0
SECONDS_A_ROW = 0.001
"""How long a run may take: a hundred times what trees do on a slow machine, 8 ms for 501 rows on a fast one."""

_ERROR, _SILENT = 3, 4  # ONNX Runtime's log severities: 0 verbose, 1 info, 2 warning, 3 error, 4 fatal


def intact(stored: bytes | memoryview | None, sha256: str, version: ModelVersion) -> bytes:
    """Return the `stored` bytes of `version`, for every load to go through: they are those registered as `sha256`.

    Raises ArtifactCorruptError where they are not, or are gone (None).
    """
    artifact = None if stored is None else bytes(stored)
    if artifact is None or hashlib.sha256(artifact).hexdigest() != sha256:
        raise ArtifactCorruptError(
            f"The bytes of {version} are {'gone' if artifact is None else 'not those that were registered'} "
            f"(SHA-256 {sha256[:12]}...). Restore ml.artifacts from a backup, or put another version into production: "
            "`forecastle models rollback`.",
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
        provider: of ONNX Runtime, what runs the model.
        runtime_version: the version of ONNX Runtime.
        feature_set: where the features come from.
        feature_set_version: the version of them that the model was trained on.
    """

    def __init__(self, model: bytes) -> None:
        """Load `model`, an ONNX file's bytes. Raises ScoringError where it is none of ours."""
        import onnxruntime as ort

        require_plain(model)

        ort.set_default_logger_severity(_ERROR)
        self.provider = "CPUExecutionProvider"
        self.runtime_version: str = ort.__version__
        options = ort.SessionOptions()
        options.log_severity_level = _ERROR
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        try:
            self._session = ort.InferenceSession(model, options, providers=[self.provider])
        except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
            raise ScoringError(f"The model cannot be loaded: {' '.join(str(error).split())[:200]}") from error
        facts = self._session.get_modelmeta().custom_metadata_map
        try:
            [row] = _inputs(facts)
            self.feature_names: tuple[str, ...] = tuple(row["features"])
            self.feature_set: str = row["feature_set"]
            self.feature_set_version: str = row["feature_set_version"]
            self.horizons: tuple[int, ...] = tuple(json.loads(facts["horizons"]))
            self.quantiles: tuple[float, ...] = tuple(json.loads(facts["quantiles"]))
            self.classes: tuple[str, ...] = tuple(json.loads(facts["classes"]))
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
            ScoringError: the shape is another, or a value is missing or infinite; the model takes longer than a model
                may, or gives what cannot be: no finite number, a return of -1 or less, quantiles that cross,
                probabilities below 0, above 1 or of another sum than 1.
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
        quantiles, probabilities = self._run(rows)
        self._require_possible(quantiles, probabilities, len(rows))
        return quantiles, probabilities

    def _run(self, rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        import onnxruntime as ort

        options = ort.RunOptions()
        options.log_severity_level = _SILENT
        seconds = SECONDS_A_RUN + SECONDS_A_ROW * len(rows)
        try:
            with _stopped_after(seconds, options):
                quantiles, probabilities = self._session.run(
                    ["quantiles", "probabilities"], {"features": rows}, options
                )
        except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
            if options.terminate:
                raise ScoringError(
                    f"The model was stopped after {seconds:.0f} s without having scored {len(rows)} rows. No model of "
                    "ours takes so long: put another version into production, with `forecastle models rollback`."
                ) from error
            raise ScoringError(f"The model cannot be run: {' '.join(str(error).split())[:200]}") from error
        return quantiles, probabilities

    def _require_possible(
        self, quantiles: NDArray[np.float32], probabilities: NDArray[np.float32], n_rows: int
    ) -> None:
        """Refuse what no forecast can be; the checks of ml.predictions say the same."""
        import numpy as np

        shapes = quantiles.shape, probabilities.shape
        wanted = tuple((n_rows, len(self.horizons), len(each)) for each in (self.quantiles, self.classes))
        if shapes != wanted:
            raise ScoringError(f"The model gives results of shapes {shapes} where {wanted} belong.")
        impossible = {
            "a value that is no finite number": (~np.isfinite(quantiles), ~np.isfinite(probabilities)),
            "a return of -1 or less, which is more than there is to lose": (quantiles <= -1,),
            "quantiles that cross": (np.diff(quantiles, axis=2) < 0,),
            "a probability below 0 or above 1": (probabilities < 0, probabilities > 1),
            "probabilities that do not sum to 1": (np.abs(probabilities.sum(axis=2) - 1) > PROBABILITY_TOLERANCE,),
        }
        for what, places in impossible.items():
            if any(at_fault.any() for at_fault in places):
                rows = np.any([at_fault.reshape(n_rows, -1).any(axis=1) for at_fault in places], axis=0)
                raise ScoringError(f"The model gives {what}, for {int(rows.sum())} of {n_rows} rows.")


def _inputs(facts: dict[str, str]) -> list[dict[str, Any]]:
    """Return the inputs that a file declares. Older files declare none: theirs is the feature set `technical`."""
    if "inputs" in facts:
        return [each for each in json.loads(facts["inputs"]) if each["kind"] == "row"]
    names, version = json.loads(facts["feature_names"]), json.loads(facts["feature_set_version"])
    return [{"features": names, "feature_set": "technical", "feature_set_version": version}]


@contextmanager
def _stopped_after(seconds: float, options: Any) -> Iterator[None]:  # noqa: ANN401 - the library has no types
    """Let ONNX Runtime stop the run that has `options`, should the block take longer; the timer costs 0.2 ms."""
    timer = threading.Timer(seconds, setattr, (options, "terminate", True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
