"""The daily job: ingest, features, check, forecast, outcomes, drift, one after the other.

A step that fails ends the job, and its error is in `monitoring.job_runs`. Run again for the same as-of, each step
does what is not done yet.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path

from jobs import check, drift, features, forecast, ingest, outcomes
from mlops.exceptions import FilesRefusedError, GateClosedError, NoProductionModelError
from mlops.warehouse import Warehouse


def run(
    warehouse: Warehouse,
    as_of: datetime,
    timeframes: Collection[str],
    *,
    sources: Sequence[ingest.Fetch] = (),
    inbox: Path | None = None,
    unsaid: ingest.Unsaid | None = None,
) -> None:
    """Run all steps as of `as_of` (UTC), after ingesting `sources` and the `inbox` where they are given.

    `unsaid` has what the files of the inbox do not say, such as their exchange.

    Each step writes its row; that of the whole job is for the caller (`job_run(warehouse, "daily", as_of)`), so
    that an error before the first step is in it, too.

    `timeframes` and those of all models that forecast are checked. Where the gate is closed for one of them, the others
    are forecast all the same, outcomes and drift follow, and the job fails at its end.

    A file that was refused does not stop the job: the checks decide whether enough data came in. The job still fails at
    its end, so that somebody looks.
    """
    refused: FilesRefusedError | None = None
    for fetch in sources:
        ingest.from_source(warehouse, as_of, fetch)
    if inbox is not None:
        try:
            ingest.from_inbox(warehouse, as_of, inbox, unsaid)
        except FilesRefusedError as error:
            refused = error
    features.run(warehouse, as_of)
    checked = sorted({*timeframes, *forecast.timeframes(warehouse)})
    closed = _check(warehouse, as_of, checked)
    _forecast(warehouse, as_of, gate_is_known=bool(closed))
    if len(closed) == len(checked):
        raise closed[0]
    outcomes.run(warehouse, as_of)
    drift.run(warehouse, as_of)
    if closed:
        raise closed[0]
    if refused is not None:
        raise refused


def _check(warehouse: Warehouse, as_of: datetime, timeframes: Sequence[str]) -> list[GateClosedError]:
    """Check each of `timeframes` and return why the gate is closed, for those for which it is."""
    closed = []
    for each in timeframes:
        try:
            check.run(warehouse, as_of, each)
        except GateClosedError as error:
            closed.append(error)
    return closed


def _forecast(warehouse: Warehouse, as_of: datetime, *, gate_is_known: bool) -> None:
    """Forecast the timeframes whose gate is open. Why the others are not forecast is kept in ml.refusals."""
    try:
        forecast.run(warehouse, as_of)
    except (GateClosedError, NoProductionModelError):
        if not gate_is_known:
            raise
