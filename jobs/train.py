"""The train job: choose and split the rows, have them checked, train, register.

A worker that is killed at any step leaves no version and no alias behind, only a run that is 'running' without a
worker; the next run of the model closes it as 'abandoned'.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from mlops import checks, datasets, registry, training
from mlops.exceptions import GateClosedError, JobBusyError, WarehouseError
from mlops.modelling import DatasetFacts
from mlops.registry import Registered
from mlops.spec import Spec
from mlops.training import Progress
from mlops.warehouse import Warehouse
from mlops.warehouse.bookkeeping import job_run

Gate = Callable[[UUID, datetime], Collection[int] | None]
"""Given run and as-of: return the symbols to leave out if the others may be trained on, else raise GateClosedError."""


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a training run came to."""

    run_id: UUID
    registered: Registered
    dataset: DatasetFacts
    parity_max_abs_diff: float
    seconds: Mapping[str, float]


def run(warehouse: Warehouse, as_of: datetime, spec: Spec, progress: Progress | None = None) -> TrainResult:
    """Train `spec` as of `as_of` (UTC) behind the checks of the training set, as a job of its own."""

    def gate(run_id: UUID, as_of: datetime) -> Collection[int]:
        findings = checks.training(warehouse, run_id, as_of)
        checks.gate(findings)
        return findings.quarantined

    with job_run(warehouse, "train", as_of, spec.name):
        return train(warehouse, spec, as_of, check=gate, progress=progress)


def train(
    warehouse: Warehouse, spec: Spec, as_of: datetime, *, check: Gate, progress: Progress | None = None
) -> TrainResult:
    """Train `spec` on what was known at `as_of` (UTC) and register what comes of it.

    The run is a row of ml.runs whatever becomes of it: succeeded, blocked by `check`, or failed with its error. Trained
    again on the same rows to the same bytes, there is no new version.

    Raises:
        JobBusyError: the model is being trained already.
        RegistryError: the model is declared otherwise, or another model answers for the same symbols already.
        GateClosedError: `check` refuses the rows.
        DatasetError, TrainingError, ParityError: there is no model that could be registered.
    """
    with warehouse.lock(registry.lock_name(spec.model)) as held:
        if not held:
            raise JobBusyError(f"{spec.model} is being trained already. Wait for that run to end.", model=spec.model)
        with warehouse.begin() as connection:
            registry.abandon_dead_runs(connection, spec.model)
            run_id = registry.start_run(connection, spec, as_of)
        try:
            return _train(warehouse, run_id, spec, as_of, check=check, progress=progress or _silent)
        except BaseException as error:
            # Where the database is gone, too, the next run closes this one; what the user needs is the first error.
            with suppress(WarehouseError), warehouse.begin() as connection:
                registry.finish_run(
                    connection,
                    run_id,
                    "blocked" if isinstance(error, GateClosedError) else "failed",
                    error=f"{type(error).__name__}: {error}"[:2000],
                )
            raise
        finally:
            with suppress(WarehouseError), warehouse.begin() as connection:
                datasets.clear(connection, run_id)


def _train(
    warehouse: Warehouse, run_id: UUID, spec: Spec, as_of: datetime, *, check: Gate, progress: Progress
) -> TrainResult:
    progress("choose", 0, 1)
    with warehouse.begin() as connection:
        chosen = datasets.materialise(connection, run_id, spec, as_of)
    progress("check", 0, 1)
    quarantined = check(run_id, as_of)
    progress("read", 0, 1)
    with warehouse.begin() as connection:
        if quarantined:
            chosen = datasets.leave_out(connection, run_id, chosen, quarantined)
        matrix = datasets.read_matrix(connection, run_id, spec.horizons, chosen)
    facts = DatasetFacts(
        plan=chosen.plan,
        rows=chosen.rows,
        excluded=chosen.excluded,
        data_from=chosen.data_from,
        data_to=chosen.data_to,
        feature_set_version=chosen.feature_set_version,
        label_set=chosen.label_set.name,
        label_set_version=chosen.label_set.version,
        thresholds=chosen.label_set.thresholds_of(spec.horizons),
        fingerprint=datasets.fingerprint(matrix),
        symbols=len(matrix.symbols),
    )
    trained = training.train(spec, matrix, facts.feature_set_version, progress)
    progress("register", 0, 1)
    with warehouse.begin() as connection:
        registered = registry.register(connection, run_id, spec, facts, trained)
    return TrainResult(run_id, registered, facts, trained.parity_max_abs_diff, trained.seconds)


def _silent(what: str, done: int, total: int) -> None:
    """Show no progress."""
