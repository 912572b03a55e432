"""The features job: let dbt bring features and labels up to date with the bars."""

from __future__ import annotations

from datetime import datetime

from mlops.features import BuildResult, build
from mlops.warehouse import Warehouse
from mlops.warehouse.bookkeeping import job_run


def run(warehouse: Warehouse, as_of: datetime) -> BuildResult:
    """Build what new or corrected bars reach. `as_of` (UTC) only names the run: a build takes in all bars there are."""
    with job_run(warehouse, "features", as_of):
        return build(warehouse)
