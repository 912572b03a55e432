"""Decide whether a failure concerns a few symbols: these are left out, and the others go on.

An expectation that says `quarantines: true` looks at each symbol by itself. Where its failing rows are of few symbols,
these are *quarantined*: not trained on and not forecast, until a later check finds nothing. Where they are of many, it
is the source that failed, and the gate closes for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mlops.checks.findings import CheckResult

LARGEST_SHARE = 0.05
"""Share of the symbols that may be quarantined; one may always be, as long as another is left."""


def quarantine(results: Sequence[CheckResult], n_symbols: int) -> tuple[CheckResult, ...]:
    """Return `results`, those that failed for a few of `n_symbols` symbols marked as quarantined.

    The symbols of all expectations together count: each may fail for few, and all together for many.
    """
    at_fault = {symbol_id for result in results for symbol_id in result.symbols_at_fault}
    if not at_fault or len(at_fault) > max(1, LARGEST_SHARE * n_symbols) or len(at_fault) >= n_symbols:
        return tuple(results)
    return tuple(replace(result, quarantined=True) if result.symbols_at_fault else result for result in results)
