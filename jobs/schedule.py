"""What the daemon runs and when: the jobs that are due by the clock, and what each of them is about.

To add one, write its file in `jobs/` and a line in `scheduled_jobs`.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from jobs.crontab import Crontab
from jobs.scheduled import PASSES, Scheduled
from mlops.exceptions import ForecastleError, JobError, SettingsError
from mlops.settings import Settings, listed
from mlops.spec import Spec
from mlops.warehouse import Warehouse
from mlops.warehouse.bookkeeping import has_succeeded

if TYPE_CHECKING:
    from mlops.sources import Provider

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


def fetched(settings: Settings) -> list[tuple[Provider, list[str]]]:
    """Return the providers of bars that the settings name, each with the symbols that it is asked for.

    Raises SettingsError where one is named that there is not, or without the symbols that it needs.
    """
    from mlops.sources import providers

    asked: dict[str, list[str]] = {}
    for part in settings.fetch.split(";"):
        name, _, named = part.partition(":")
        if part.strip():
            asked.setdefault(name.strip(), []).extend(named.replace(",", " ").split())
    if listed(settings.yahoo_symbols):
        asked.setdefault("yahoo", []).extend(listed(settings.yahoo_symbols))
    for name, symbols in asked.items():
        if name not in providers():
            raise SettingsError(
                f"FORECASTLE_FETCH names {name!r}, and no source is called that. There are {', '.join(providers())}."
            )
        if providers()[name].by_symbol != bool(symbols):
            wrong = "is taken with all its symbols" if symbols else "needs the symbols that are to be fetched"
            raise SettingsError(
                f"FORECASTLE_FETCH cannot be used: {name} {wrong}. Write it as 'yahoo: AAPL MSFT; {name}"
                f"{'' if symbols else ': A B'}'."
            )
    return [(providers()[name], list(dict.fromkeys(symbols))) for name, symbols in asked.items()]


def _daily(settings: Settings, warehouse: Warehouse, as_of: datetime) -> None:
    from jobs import daily, ingest
    from mlops.sources import Asked

    timeframes = list(dict.fromkeys(spec.timeframe for spec in specifications(settings)))
    newest = as_of.date()
    sources = [
        ingest.Fetch(
            provider.source(Asked(symbols, newest - _FETCHED, newest, timeframe)),
            timeframe,
            provider.exchange,
            provider.asset_class,
        )
        for provider, symbols in fetched(settings)
        for timeframe in timeframes
        if provider.has(timeframe)
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
