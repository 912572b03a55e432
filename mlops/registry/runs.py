"""Training runs: that one has begun, and how it has ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid4

from sqlalchemy import Connection

from mlops.exceptions import RegistryError
from mlops.modelling import Subset
from mlops.registry.models import declare
from mlops.spec import Spec
from mlops.warehouse import sql

Ending = Literal["succeeded", "blocked", "failed"]


def lock_name(model: str) -> str:
    """Return the name of the lock that a worker holds for as long as it trains `model`."""
    return f"train:{model}"


def start_run(connection: Connection, spec: Spec, as_of: datetime) -> UUID:
    """Note that a run of `spec` as of `as_of` (UTC) has begun, and return its id.

    Raises RegistryError where its model is declared otherwise; see `mlops.registry.models`.
    """
    declare(connection, spec, as_of)
    sha256: str = connection.execute(
        sql("registry", "spec_add"),
        {"model": spec.model, "candidate": spec.candidate, "document": spec.model_dump_json()},
    ).scalar_one()
    run_id = uuid4()
    connection.execute(
        sql("registry", "run_start"),
        {"run_id": run_id, "model": spec.model, "as_of": as_of, "spec_sha256": sha256},
    )
    return run_id


def finish_run(
    connection: Connection,
    run_id: UUID,
    status: Ending,
    *,
    rows: Mapping[str, int] | None = None,
    excluded: Mapping[str, int] | None = None,
    metrics: Mapping[str, Any] | None = None,
    error: str | None = None,
) -> None:
    """Note how the run has ended.

    Args:
        connection: to the warehouse.
        run_id: the run.
        status: `blocked` where the checks closed the gate.
        rows: number of rows by subset, where it came as far as that.
        excluded: number of rows left out, by cause.
        metrics: what it came to.
        error: what went wrong.

    Raises:
        RegistryError: no such run is going on.
    """
    counts = {f"n_{subset}": None if rows is None else rows[subset] for subset in Subset}
    changed = connection.execute(
        sql("registry", "run_finish"),
        {
            "run_id": run_id,
            "status": status,
            **counts,
            "n_excluded": None if excluded is None else sum(excluded.values()),
            "metrics": None if metrics is None else json.dumps(metrics),
            "error": error,
        },
    )
    if changed.rowcount != 1:
        raise RegistryError(f"The run {run_id} is not going on, so it cannot end as {status}.", run_id=run_id)


def abandon_dead_runs(connection: Connection, model: str) -> int:
    """Close the runs of `model` that a worker left behind, take away their rows, and return how many there were.

    The caller holds the lock `lock_name(model)`: a run that is 'running' all the same is nobody's.
    """
    n_runs = connection.execute(sql("registry", "runs_abandon"), {"model": model}).rowcount
    connection.execute(sql("registry", "rows_abandon"))
    return n_runs
