"""The check job: whether today's data may be used."""

from __future__ import annotations

from datetime import datetime

from mlops import checks
from mlops.checks.report import CheckReport
from mlops.warehouse import Warehouse
from mlops.warehouse.bookkeeping import job_run


def run(warehouse: Warehouse, as_of: datetime, timeframe: str) -> CheckReport:
    """Run the daily suites on what was known at `as_of` (UTC). Raises GateClosedError where it may not be used."""
    with job_run(warehouse, "check", as_of):
        report = checks.daily(warehouse, as_of, timeframe)
        checks.gate(report)
        return report
