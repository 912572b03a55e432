"""What came of a run of the checks, and the gate that a failure closes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from mlops.exceptions import GateClosedError


@dataclass(frozen=True)
class CheckResult:
    """What came of one expectation. `first_rows` are a few of the rows at fault, as `column=value` text."""

    suite: str
    expectation: str
    relation: str
    success: bool
    observed: str
    rows_at_fault: int
    why: str
    query: str
    first_rows: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckReport:
    """All results of one run, as of `as_of`, in the order of the suites."""

    run_id: UUID
    as_of: datetime
    timeframe: str
    results: tuple[CheckResult, ...] = field(default=())

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        """The expectations that did not hold, or could not be looked at."""
        return tuple(result for result in self.results if not result.success)

    @property
    def passed(self) -> bool:
        """Whether the data may be used: something was looked at, and all of it held."""
        return bool(self.results) and not self.failures


def gate(report: CheckReport) -> None:
    """Return if the data may be used; raise GateClosedError that names the first failure, its rows and their query."""
    if report.passed:
        return
    if not report.results:
        raise GateClosedError("The gate is closed: not one expectation was looked at.", report=report)
    worst = report.failures[0]
    more = len(report.failures) - 1
    rows = "; ".join(worst.first_rows)
    raise GateClosedError(
        f"The gate is closed: suite {worst.suite}, expectation {worst.expectation} on {worst.relation}: "
        + worst.observed
        + (f" (first: {rows})" if rows else "")
        + (f", and {more} more failed" if more else "")
        + f". All of run {report.run_id} are in data_quality.\nShow the rows: {_one_line(worst.query)}",
        report=report,
    )


def _one_line(query: str) -> str:
    return " ".join(query.split())
