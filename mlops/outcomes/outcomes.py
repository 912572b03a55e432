"""Compare forecasts with the returns that came true, as soon as these are known and not before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mlops.exceptions import OutcomesError
from mlops.warehouse import Warehouse, sql
from mlops.warehouse.locks import take_lock
from mlops.warehouse.statistics import gather_statistics

_AT_ONCE = 100_000
"""How many open forecasts a statement resolves, or little more: two months of 503 stocks and four horizons."""


@dataclass(frozen=True, slots=True)
class OutcomesSummary:
    """What a run did.

    Attributes:
        as_of: UTC; no label known after it was used.
        resolved: forecasts that have an outcome now and had none before.
        corrected: outcomes that changed because a bar was corrected since.
        waiting: forecasts made by `as_of` that have no outcome yet.
        overdue: those of them whose horizon has passed by the trading calendar.
    """

    as_of: datetime
    resolved: int
    corrected: int
    waiting: int
    overdue: int


def resolve(warehouse: Warehouse, as_of: datetime) -> OutcomesSummary:
    """Fill in the outcome of every open forecast whose label is known at `as_of` (UTC), in one transaction.

    A forecast is compared with the label of its own symbol, timeframe, bar and horizon. Idempotent; two at once wait
    for each other. An outcome whose label changed, because a bar was corrected and the labels were built again, is
    updated in its row.

    Raises OutcomesError where there are no labels to resolve by.
    """
    with warehouse.begin() as connection:
        if connection.execute(sql("outcomes", "labels")).scalar_one() == 0:
            raise OutcomesError("There are no labels yet. Build them: `forecastle features build`.")
        take_lock(connection, "ml.outcomes")
        open_parts = connection.execute(sql("outcomes", "parts"), {"as_of": as_of, "at_once": _AT_ONCE})
        parts = [(part.first, part.last) for part in open_parts]
        resolved = corrected = 0
        for first, last in parts or [(as_of, as_of)]:  # where nothing is open, outcomes may still be corrected
            done = connection.execute(sql("outcomes", "resolve"), {"as_of": as_of, "first": first, "last": last}).one()
            resolved += done.resolved
            corrected += done.corrected
        left = connection.execute(sql("outcomes", "waiting"), {"as_of": as_of}).one()
    gather_statistics(warehouse, "ml.outcomes", resolved + corrected)
    return OutcomesSummary(
        as_of=as_of,
        resolved=resolved,
        corrected=corrected,
        waiting=left.waiting,
        overdue=left.overdue,
    )
