"""The daily way: ingest, features, check, forecast, outcomes, drift, one after the other.

A step that fails ends the way, and its error stands in `monitoring.job_runs`. Run again for the same as-of, each step
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
    """Go the whole way as of `as_of` (UTC), with what `sources` and the `inbox` have; with neither, with what is there.

    `unsaid` is what the files of the inbox do not say themselves.

    Each step writes its row; that of the whole way is for whoever calls this (`job_run(warehouse, "daily", as_of)`), so
    that what goes wrong before the first step stands in it, too.

    Checked are `timeframes` and those of all models that forecast. A gate that is closed for one of them keeps that one
    back and no other: what is forecast otherwise goes on to outcomes and drift, and the way fails at its end.

    A file that was refused does not stop the way: whether enough came in is for the checks to say. The way fails all
    the same, at its end, so that somebody looks.
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
    """Forecast what the gates let through. That one of them is closed is kept for each symbol, and said already."""
    try:
        forecast.run(warehouse, as_of)
    except (GateClosedError, NoProductionModelError):
        if not gate_is_known:
            raise
