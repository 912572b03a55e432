"""The demo: train as of a past date on real prices, then go the daily way through the days after it, as if live.

What is done already is not done again, so that a second run only looks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time

from jobs import daily, features, ingest, train
from mlops.sources import SampleSource
from mlops.spec import Spec
from mlops.warehouse import Warehouse
from mlops.warehouse.bookkeeping import has_succeeded, job_run

WALK_DAYS = 60
"""Trading days to go through: the forecasts 20 bars ahead that were made on the first 40 of them are resolved."""

RUNS_AT = time(22, 30, tzinfo=UTC)
"""When the daily job runs: after New York's close, in winter and in summer."""


def run(warehouse: Warehouse, specs: Sequence[Spec], says: Callable[[str, float | None], None]) -> datetime:
    """Go the whole way on the sample with `specs` and return the as-of (UTC) of its last day.

    `says` is told what is going on and, in the walk, how much of it is done (0 to 1).
    """
    days = SampleSource().days()
    trained_on, walk = days[-WALK_DAYS - 1], days[-WALK_DAYS:]
    as_of = _evening(trained_on)
    if not has_succeeded(warehouse, "features", as_of):
        says(f"Taking in five stocks, {days[0]:%Y} to {trained_on}", None)
        ingest.from_source(warehouse, as_of, ingest.Fetch(SampleSource(until=trained_on)))
        says("Building features and labels with dbt", None)
        features.run(warehouse, as_of)
    for spec in specs:
        if not has_succeeded(warehouse, "train", as_of, spec.name):
            says(f"Checking the training set and training {spec.name} as of {trained_on}", None)
            train.run(warehouse, as_of, spec)
    timeframes = {spec.timeframe for spec in specs}
    for number, day in enumerate(walk):
        says(f"Living through {day}", number / len(walk))
        if not has_succeeded(warehouse, "daily", _evening(day)):
            with job_run(warehouse, "daily", _evening(day)):
                fetch = ingest.Fetch(SampleSource(since=day, until=day))
                daily.run(warehouse, _evening(day), timeframes, sources=[fetch])
    return _evening(walk[-1])


def _evening(day: date) -> datetime:
    return datetime.combine(day, RUNS_AT)
