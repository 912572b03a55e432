"""The outcomes job: compare forecasts whose horizon has passed with what came true."""

from __future__ import annotations

from datetime import datetime

from mlops.outcomes import OutcomesSummary, resolve
from mlops.warehouse import Warehouse
from mlops.warehouse.bookkeeping import job_run


def run(warehouse: Warehouse, as_of: datetime) -> OutcomesSummary:
    """Fill in what was known at `as_of` (UTC)."""
    with job_run(warehouse, "outcomes", as_of):
        return resolve(warehouse, as_of)
