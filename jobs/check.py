"""The check job: whether today's data may be used."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mlops import checks
from mlops.checks.findings import CheckFindings
from mlops.domain import DAILY_SUITES
from mlops.warehouse import Warehouse
from mlops.warehouse.bookkeeping import job_run


def run(
    warehouse: Warehouse,
    as_of: datetime,
    timeframe: str,
    *,
    suites: Sequence[str] = DAILY_SUITES,
    since: datetime | None = None,
) -> CheckFindings:
    """Run `suites` on what was known at `as_of` (UTC), of bars from `since` on or of the last 30 sessions.

    Raises GateClosedError, whose `findings` has all that was found, where the data may not be used.
    """
    with job_run(warehouse, "check", as_of, timeframe):
        findings = checks.daily(warehouse, as_of, timeframe, suites=suites, since=since)
        checks.gate(findings)
        return findings
