"""`forecastle schedule`: the daemon, and what it will run when."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlops import clock
from mlops.cli.command import Command
from mlops.cli.connect import named_url, open_as_worker, open_warehouse, settings
from mlops.cli.options import AsJson, AsOf, DatabaseUrl

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.keeper import OpenWarehouse
    from jobs.scheduled import Pauses, Scheduled

schedule_app = typer.Typer(
    name="schedule", help="The daemon: the daily job and the monthly retrain.", no_args_is_help=True
)


def _names() -> list[str]:
    """Return the names of the jobs, for the shell to complete."""
    from jobs.schedule import scheduled_jobs

    return [job.name for job in scheduled_jobs(settings())]


@schedule_app.command("run")
def run_schedule(
    database_url: DatabaseUrl = None,
    once: Annotated[
        str | None,
        typer.Option(
            "--once",
            metavar="JOB",
            help="Run this job (daily, retrain; schedule list has all) now, in the foreground, and end.",
            autocompletion=_names,
        ),
    ] = None,
    at_once: Annotated[
        str | None,
        typer.Option("--at-once", metavar="JOB", help="Run this job right away, then go on.", autocompletion=_names),
    ] = None,
    as_of: AsOf = None,
) -> None:
    """Run the daily job, the monthly retrain and what else `schedule list` shows when they are due, until SIGTERM.

    A run is as of the moment at which it was due. What was due while the daemon was down: the newest run is made, those
    before it are marked as missed in job_runs; `--once daily --as-of TIME` makes one up. Where the database or a source
    does not answer, the daemon tries again until it does.

    SIGTERM lets the job that is running finish; a second one ends at once, and nothing is left half done. The settings
    FORECASTLE_INBOX, FORECASTLE_SPEC, FORECASTLE_DAILY_AT and FORECASTLE_RETRAIN_AT say with what and when.
    """
    if as_of is not None and once is None:
        raise typer.BadParameter("goes with --once; the daemon runs a job as of when it is due.", param_hint="--as-of")
    if once is not None and at_once is not None:
        raise typer.BadParameter("is for the daemon, and --once starts none.", param_hint="--at-once")
    from jobs.schedule import scheduled_jobs
    from mlops.cli.logs import log_to_stderr

    log_to_stderr()
    schedule = scheduled_jobs(settings())
    named = _job_named(once, schedule, "--once")
    _job_named(at_once, schedule, "--at-once")
    if named is None:
        run_daemon(schedule, lambda: open_as_worker(database_url, _say), at_once=at_once)
        return
    from mlops.warehouse.bookkeeping import job_run, steps_of
    from mlops.warehouse.migrate import require_current

    moment = clock.parse_as_of(as_of)
    with open_as_worker(database_url, _say) as warehouse:
        require_current(warehouse)
        began = clock.now()
        with job_run(warehouse, named.name, moment):
            named.run(warehouse, moment)
        steps = [step for step in steps_of(warehouse, moment, began) if step.job != named.name]
    took = (clock.now() - began).total_seconds()
    told = ", ".join(f"{step.job}{' ' if step.subject else ''}{step.subject} {step.seconds:.1f} s" for step in steps)
    typer.echo(
        f"{named.name.capitalize()} as of {moment:%Y-%m-%d %H:%M} UTC succeeded in {took:.1f} s"
        + (f": {told}." if told else ".")
    )


@schedule_app.command("list")
def list_schedule(database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Print the jobs, when each is due next (UTC), how its newest run went and how many were missed."""
    from jobs.schedule import scheduled_jobs

    schedule = scheduled_jobs(settings())
    past = _past(database_url)
    rows: list[dict[str, Any]] = [
        {"job": job.name, "crontab": job.crontab.expression, "next": job.crontab.next(clock.now())}
        | past.get(job.name, {})
        for job in schedule
    ]
    if as_json:
        typer.echo(json.dumps(rows, default=lambda moment: moment.isoformat()))
        return
    for row in rows:
        due = f"next {row['next']:%Y-%m-%d %H:%M} UTC" if row["next"] else "never"
        typer.echo(f"{row['job']:<10}{row['crontab']:<22}{due}{_shown_past(row)}")


def run_daemon(
    schedule: list[Scheduled],
    opened: OpenWarehouse,
    *,
    at_once: str | None = None,
    now: Callable[[], datetime] = clock.now,
    pauses: Pauses | None = None,
    longest_sleep: float | None = None,
) -> None:
    """Run the daemon until SIGTERM; `at_once` names a job to run right away.

    `now` tells the time, UTC; with it, `pauses` and `longest_sleep` (seconds) a test lets time pass faster.

    Raises NotMigratedError before it begins. A server that does not answer is waited for: at a machine's start the
    daemon may be there first.
    """
    from jobs import daemon
    from jobs.keeper import AtOnce, Keeper, log_failure
    from mlops.exceptions import WarehouseUnreachableError
    from mlops.warehouse.migrate import require_current

    try:
        with opened() as warehouse:
            require_current(warehouse)
    except WarehouseUnreachableError as error:
        log_failure("daemon", error, " It is waited for.")
    keepers = [Keeper(job, opened, now, pauses) for job in schedule]
    first = [AtOnce(job, opened, now) for job in schedule if job.name == at_once]
    daemon.run([*first, *keepers], now, longest_sleep or daemon.LONGEST_SLEEP)


def _job_named(name: str | None, schedule: list[Scheduled], option: str) -> Scheduled | None:
    """Return the job that an option names; None where it is not given. One that there is not ends with status 2."""
    if name is None:
        return None
    for job in schedule:
        if job.name == name:
            return job
    raise typer.BadParameter(
        f"There is no job {name!r}. There are {', '.join(job.name for job in schedule)}.", param_hint=option
    )


def _past(database_url: str | None) -> dict[str, dict[str, Any]]:
    """Return what is known of the runs of each job; nothing where there is no database yet, or none that answers."""
    from mlops.embedded import embedded_server
    from mlops.exceptions import WarehouseError
    from mlops.warehouse.bookkeeping import overview

    if named_url(database_url) is None and not embedded_server(settings()).place.data.exists():
        return {}
    try:
        with open_warehouse(database_url) as warehouse:
            return overview(warehouse)
    except WarehouseError as error:
        typer.echo(f"{error} So nothing is said of earlier runs.", err=True)
        return {}


def _shown_past(row: dict[str, Any]) -> str:
    if "state" not in row:
        return ""
    missed = f"; {row['missed']} missed in the last 30 days" if row["missed"] else ""
    return f"   {row['state']} as of {row['as_of'].astimezone(UTC):%Y-%m-%d %H:%M} UTC{missed}"


def _say(what: str, done: float | None) -> None:
    import logging

    if done is None:
        logging.getLogger("forecastle.daemon").info("%s", what)


COMMAND = Command("schedule", 110, schedule_app)
