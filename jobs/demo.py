"""The demo: train as of a past date on real prices, then run the daily job for each day after it, as if live.

Steps that have succeeded before are not run again, so a second demo only shows the tables.
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
"""How many trading days are forecast after training; forecasts 20 bars ahead are resolved for the first 40 of them."""

RUNS_AT = time(22, 30, tzinfo=UTC)
"""When the daily job runs: after New York's close, in winter and in summer."""


def run(warehouse: Warehouse, specs: Sequence[Spec], progress: Callable[[str, float | None], None]) -> datetime:
    """Ingest the sample, train `specs`, forecast day by day, and return the as-of (UTC) of the last day.

    `progress` is called with what is being done and, in the days after training, how much of them is done (0 to 1).
    """
    days = SampleSource().days()
    trained_on, walk = days[-WALK_DAYS - 1], days[-WALK_DAYS:]
    as_of = _evening(trained_on)
    if not has_succeeded(warehouse, "features", as_of):
        progress(f"Taking in five stocks, {days[0]:%Y} to {trained_on}", None)
        ingest.from_source(warehouse, as_of, ingest.Fetch(SampleSource(until=trained_on)))
        progress("Building features and labels with dbt", None)
        features.run(warehouse, as_of)
    for spec in specs:
        if not has_succeeded(warehouse, "train", as_of, spec.name):
            progress(f"Checking the training set and training {spec.name} as of {trained_on}", None)
            train.run(warehouse, as_of, spec)
    timeframes = {spec.timeframe for spec in specs}
    for number, day in enumerate(walk):
        progress(f"Living through {day}", number / len(walk))
        if not has_succeeded(warehouse, "daily", _evening(day)):
            with job_run(warehouse, "daily", _evening(day)):
                fetch = ingest.Fetch(SampleSource(since=day, until=day))
                daily.run(warehouse, _evening(day), timeframes, sources=[fetch])
    return _evening(walk[-1])


def _evening(day: date) -> datetime:
    return datetime.combine(day, RUNS_AT)
