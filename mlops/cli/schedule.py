"""`forecastle schedule`: the daemon, and what it will run when."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from mlops import clock
from mlops.cli.connect import open_warehouse
from mlops.cli.options import AsJson, AsOf, DatabaseUrl

if TYPE_CHECKING:
    from jobs.daemon import Scheduled
    from mlops.settings import Settings
    from mlops.warehouse import Warehouse

_FETCHED = timedelta(days=14)
"""How far back a source is asked each day: enough for a daemon that was down over the holidays."""

schedule_app = typer.Typer(
    name="schedule", help="The daemon: the daily way and the monthly retrain.", no_args_is_help=True
)


class JobName(StrEnum):
    """What the daemon runs."""

    DAILY = "daily"
    RETRAIN = "retrain"


@schedule_app.command("run")
def run_schedule(
    database_url: DatabaseUrl = None,
    once: Annotated[
        JobName | None, typer.Option("--once", help="Run this job now, in the foreground, and end.")
    ] = None,
    at_once: Annotated[JobName | None, typer.Option("--at-once", help="Run this job right away, then go on.")] = None,
    as_of: AsOf = None,
) -> None:
    """Run the daily way and the monthly retrain when they are due, until SIGTERM.

    SIGTERM lets the job that is running finish; a second one ends at once, and nothing is left half done. The settings
    FORECASTLE_INBOX, FORECASTLE_SPEC, FORECASTLE_DAILY_AT and FORECASTLE_RETRAIN_AT say with what and when.
    """
    import logging

    from jobs import daemon
    from mlops.cli.logs import log_to_stderr
    from mlops.settings import load
    from mlops.warehouse.migrate import require_current

    log_to_stderr()
    # The daemon says itself how a job ended.
    for noisy, level in (("apscheduler", "CRITICAL"), ("great_expectations", "ERROR"), ("alembic", "WARNING")):
        logging.getLogger(noisy).setLevel(level)
    if as_of is not None and once is None:
        raise typer.BadParameter("goes with --once: the daemon itself runs as of now.", param_hint="--as-of")
    with open_warehouse(database_url) as warehouse:
        require_current(warehouse)
        schedule = _schedule(load(), warehouse)
        if once is None:
            daemon.run(schedule, at_once=(at_once.value,) if at_once else ())
            return
        next(job for job in schedule if job.name == once).run(clock.parse_as_of(as_of))


@schedule_app.command("list")
def list_schedule(as_json: AsJson = False) -> None:
    """Print the jobs, their crontab expressions and when each is due next (UTC)."""
    from mlops.settings import load

    rows = [(job.name, job.crontab, job.next_run(clock.now())) for job in _schedule(load(), None)]
    if as_json:
        typer.echo(
            json.dumps([{"job": name, "crontab": when, "next": at and at.isoformat()} for name, when, at in rows])
        )
        return
    for name, when, at in rows:
        typer.echo(f"{name:<10}{when:<22}next {at:%Y-%m-%d %H:%M} UTC" if at else f"{name:<10}{when:<22}never")


def _schedule(settings: Settings, warehouse: Warehouse | None) -> list[Scheduled]:
    from jobs.daemon import Scheduled

    def daily(as_of: datetime) -> None:
        from jobs import daily
        from mlops.sources import YahooSource
        from mlops.spec import load

        assert warehouse is not None  # noqa: S101 - a listing runs nothing
        timeframe = load(settings.spec).timeframe
        tickers = [word.strip() for word in settings.yahoo_symbols.split(",") if word.strip()]
        newest = as_of.date()
        source = YahooSource(tickers, newest - _FETCHED, newest, timeframe) if tickers else None
        daily.run(warehouse, as_of, timeframe, source=source, inbox=settings.inbox)

    def retrain(as_of: datetime) -> None:
        from jobs import train
        from mlops.spec import load

        assert warehouse is not None  # noqa: S101 - a listing runs nothing
        train.run(warehouse, as_of, load(settings.spec))

    return [
        Scheduled("daily", settings.daily_at, daily),
        Scheduled("retrain", settings.retrain_at, retrain),
    ]
