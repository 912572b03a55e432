"""The daily way: ingest, features, check, forecast, outcomes, drift, one after the other.

A step that fails ends the way, and its error stands in `monitoring.job_runs`. Run again for the same as-of, each step
does what is not done yet.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from jobs import check, drift, features, forecast, ingest, outcomes
from mlops.exceptions import FilesRefusedError
from mlops.sources import Source
from mlops.warehouse import Warehouse


def run(
    warehouse: Warehouse,
    as_of: datetime,
    timeframe: str,
    *,
    source: Source | None = None,
    inbox: Path | None = None,
    unsaid: ingest.Unsaid | None = None,
) -> None:
    """Go the whole way as of `as_of` (UTC), with what `source` or the `inbox` has; with neither, with what is there.

    `unsaid` is what the files of the inbox do not say themselves.

    Each step writes its row; that of the whole way is for whoever calls this (`job_run(warehouse, "daily", as_of)`), so
    that what goes wrong before the first step stands in it, too.

    Checked are `timeframe` and those of all models in production.

    A file that was refused does not stop the way: whether enough came in is for the checks to say. The way fails all
    the same, at its end, so that somebody looks.
    """
    refused: FilesRefusedError | None = None
    if source is not None:
        ingest.from_source(warehouse, as_of, source)
    if inbox is not None:
        try:
            ingest.from_inbox(warehouse, as_of, inbox, unsaid)
        except FilesRefusedError as error:
            refused = error
    features.run(warehouse, as_of)
    for each in sorted({timeframe, *forecast.timeframes(warehouse)}):
        check.run(warehouse, as_of, each)
    forecast.run(warehouse, as_of)
    outcomes.run(warehouse, as_of)
    drift.run(warehouse, as_of)
    if refused is not None:
        raise refused
