"""From a matrix to a model that has passed its parity check: fit, export, compare, judge."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from platform import python_version
from typing import Any

from mlops.exceptions import TrainingError
from mlops.modelling import Matrix, ModelInput, Subset, TrainedModel
from mlops.scoring import Scorer
from mlops.spec import Spec
from mlops.training.artifact import LARGEST
from mlops.training.families import family
from mlops.training.metrics import baselines, evaluate
from mlops.training.parity import TOLERANCE, golden_set, require_parity
from mlops.training.references import references

Progress = Callable[[str, int, int], None]
"""Called with the stage (`fit`, `export`, `judge`), how many of its steps are done, and how many there are."""


def train(spec: Spec, matrix: Matrix, feature_set_version: str, progress: Progress | None = None) -> TrainedModel:
    """Return a model fitted to the train subset of `matrix`, exported, and judged on validation and test.

    It is judged by the forecasts of its export, since that is what will forecast. The test subset is scored once, here;
    nothing is chosen by it.

    Raises:
        TrainingError: the family is unknown, it cannot be fitted, or what is fitted is too large to be kept.
        ParityError: the export's forecasts differ from those of the fitted model.
    """
    import numpy as np

    progress = progress or (lambda step, done, total: None)
    chosen = family(spec.family)
    seconds: dict[str, float] = {}
    subsets = {subset: matrix.of(subset) for subset in Subset}

    began = time.perf_counter()
    fitted = chosen.fit(
        subsets[Subset.TRAIN],
        subsets[Subset.VALIDATION],
        spec.hyperparameters,
        spec.seed,
        lambda done, total: progress("fit", done, total),
    )
    seconds["fit"] = time.perf_counter() - began

    progress("export", 0, 1)
    began = time.perf_counter()
    taken = ModelInput("features", "row", spec.feature_set, feature_set_version, matrix.feature_names)
    artifact = fitted.export(taken)
    if len(artifact) > LARGEST:
        raise TrainingError(
            f"The exported model has {len(artifact) / 2**20:.1f} MiB; {LARGEST / 2**20:.0f} are allowed. "
            "Ask for fewer or smaller parts in [hyperparameters]."
        )
    seconds["export"] = time.perf_counter() - began

    began = time.perf_counter()
    parity = require_parity(fitted, artifact, golden_set(matrix, fitted))
    seconds["parity"] = time.perf_counter() - began
    progress("export", 1, 1)

    began = time.perf_counter()
    scorer = Scorer(artifact)
    metrics: dict[str, dict[str, dict[str, Any]]] = {}
    medians = np.empty((0, len(matrix.horizons)), dtype=np.float32)
    for step, subset in enumerate((Subset.VALIDATION, Subset.TEST)):
        progress("judge", step, 2)
        quantiles, probabilities = scorer.score(subsets[subset].features)
        metrics[subset.value] = evaluate(subsets[subset], subsets[Subset.TRAIN], quantiles, probabilities)
        if subset is Subset.VALIDATION:
            medians = quantiles[:, :, 1]
    progress("judge", 2, 2)
    seconds["judge"] = time.perf_counter() - began

    return TrainedModel(
        artifact=artifact,
        inputs=(taken,),
        metrics=metrics,
        importances=fitted.importances(),
        history=fitted.history(),
        parity_max_abs_diff=parity,
        tolerance=TOLERANCE,
        references=references(subsets[Subset.TRAIN], medians),
        baselines=baselines(subsets[Subset.TRAIN], metrics[Subset.VALIDATION.value]),
        packages=packages(chosen.packages),
        seconds=seconds,
    )


def packages(names: tuple[str, ...]) -> dict[str, str]:
    """Return the version of Python and of each installed package that has a hand in a model."""
    found = {"python": python_version()}
    for name in (*names, "onnx", "onnxruntime", "onnxruntime-gpu", "forecastle"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue  # ONNX Runtime comes under one name or the other; forecastle may run from its sources
    return found
