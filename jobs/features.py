"""The features job: let dbt bring features and labels up to date with the bars."""

from __future__ import annotations

from datetime import datetime

from mlops.features import BuildResult, build
from mlops.warehouse import Warehouse
from mlops.warehouse.bookkeeping import job_run


def run(warehouse: Warehouse, as_of: datetime, *, full_refresh: bool = False) -> BuildResult:
    """Build what new or corrected bars reach, or with `full_refresh` everything anew.

    `as_of` (UTC) only names the run: a build takes in all bars there are.
    """
    with job_run(warehouse, "features", as_of):
        return build(warehouse, full_refresh=full_refresh)
