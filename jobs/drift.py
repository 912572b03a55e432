"""The drift job: whether features, predictions or the model's accuracy have moved away from training."""

from __future__ import annotations

from datetime import datetime

from mlops.drift import DriftSummary, measure
from mlops.warehouse import Warehouse
from mlops.warehouse.bookkeeping import job_run


def run(warehouse: Warehouse, as_of: datetime) -> DriftSummary:
    """Measure with what was known at `as_of` (UTC)."""
    with job_run(warehouse, "drift", as_of):
        return measure(warehouse, as_of)
