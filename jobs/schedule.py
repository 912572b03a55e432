"""What the daemon runs and when: the jobs that are due by the clock, and what each of them is about.

To add one, write its file in `jobs/` and a line in `scheduled_jobs`.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from functools import partial

from jobs.crontab import Crontab
from jobs.scheduled import PASSES, Scheduled
from mlops.exceptions import ForecastleError, JobError
from mlops.settings import Settings, listed
from mlops.spec import Spec
from mlops.warehouse import Warehouse
from mlops.warehouse.bookkeeping import has_succeeded

log = logging.getLogger("forecastle.schedule")

_FETCHED = timedelta(days=14)
"""How far back a source is asked each day: enough for a daemon that was down over the holidays."""


def scheduled_jobs(settings: Settings) -> list[Scheduled]:
    """Return what the daemon runs. Raises SettingsError where a crontab expression cannot be read."""
    return [
        Scheduled("daily", Crontab(settings.daily_at, "daily"), partial(_daily, settings)),
        Scheduled("retrain", Crontab(settings.retrain_at, "retrain"), partial(_retrain, settings)),
    ]


def specifications(settings: Settings) -> list[Spec]:
    """Return the specifications that the settings name. Raises SpecError where one cannot be used."""
    from mlops.training import find_spec

    return [find_spec(name) for name in listed(settings.spec) or [""]]  # of none, the error that says so


def _daily(settings: Settings, warehouse: Warehouse, as_of: datetime) -> None:
    from jobs import daily, ingest
    from mlops.sources import YahooSource

    timeframes = list(dict.fromkeys(spec.timeframe for spec in specifications(settings)))
    tickers = listed(settings.yahoo_symbols)
    newest = as_of.date()
    sources = [
        YahooSource(tickers, newest - _FETCHED, newest, timeframe)
        for timeframe in timeframes
        if tickers and YahooSource.has(timeframe)
    ]
    unsaid = ingest.Unsaid(settings.inbox_timezone, settings.inbox_exchange, settings.inbox_asset_class)
    daily.run(warehouse, as_of, timeframes, sources=sources, inbox=settings.inbox, unsaid=unsaid)


def _retrain(settings: Settings, warehouse: Warehouse, as_of: datetime) -> None:
    """Train each specification that has not been trained for `as_of`; one that fails does not keep back the others."""
    from jobs import train

    errors: list[ForecastleError] = []
    for spec in specifications(settings):
        if has_succeeded(warehouse, "train", as_of, spec.name):
            continue
        try:
            train.run(warehouse, as_of, spec)
        except PASSES:
            raise
        except ForecastleError as error:
            log.error("train of %s: %s", spec.name, error)
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        lines = "\n".join(str(error).splitlines()[0] for error in errors)
        raise JobError(f"{len(errors)} specifications could not be trained.\n{lines}")
