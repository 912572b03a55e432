"""What a run of the checks found, and the gate that a failure closes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from mlops.exceptions import GateClosedError
from mlops.printable import cut


@dataclass(frozen=True)
class CheckResult:
    """What was found of one expectation.

    Attributes:
        first_rows: a few of the rows at fault, as `column=value` text.
        symbols_at_fault: rows at fault by symbol, where the expectation looks at each symbol by itself and failed.
        quarantined: whether these symbols are left out and the gate stays open all the same.
    """

    suite: str
    expectation: str
    relation: str
    success: bool
    observed: str
    rows_at_fault: int
    why: str
    query: str
    first_rows: tuple[str, ...] = ()
    symbols_at_fault: Mapping[int, int] = field(default_factory=dict)
    quarantined: bool = False


@dataclass(frozen=True)
class CheckFindings:
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
    def closing(self) -> tuple[CheckResult, ...]:
        """The failures that close the gate: all but those of symbols that are quarantined."""
        return tuple(result for result in self.failures if not result.quarantined)

    @property
    def quarantined(self) -> frozenset[int]:
        """The symbols that may not be used, by their ids; the others may be used where `passed` is true."""
        return frozenset(
            symbol_id for result in self.failures if result.quarantined for symbol_id in result.symbols_at_fault
        )

    @property
    def passed(self) -> bool:
        """Whether the data may be used, those of quarantined symbols left out: something was looked at, and it held."""
        return bool(self.results) and not self.closing


def gate(findings: CheckFindings) -> None:
    """Return if the data may be used; raise GateClosedError that names the first failure and where its rows are."""
    if findings.passed:
        return
    if not findings.results:
        raise GateClosedError("The gate is closed: not one expectation was looked at.", findings=findings)
    worst = findings.closing[0]
    more = len(findings.closing) - 1
    rows = cut("; ".join(worst.first_rows), 200)
    found = f"suite {worst.suite}, expectation {worst.expectation} on {worst.relation}: {worst.observed}"
    query = f"SELECT suite, expectation, query FROM data_quality WHERE run_id = '{findings.run_id}' AND NOT success;"  # noqa: S608
    raise GateClosedError(
        f"The gate is closed: {found}"
        + (f" (first: {rows})" if rows else "")
        + (f", and {more} more failed" if more else "")
        + f".\nThe queries that show the rows: {query}",
        findings=findings,
    )
