"""All commands, put together. Importing this loads no library heavier than Typer."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mlops.cli.check import check
from mlops.cli.connect import show_progress
from mlops.cli.db import db_app
from mlops.cli.demo import demo
from mlops.cli.drift import drift
from mlops.cli.features import features_app
from mlops.cli.forecast import forecast
from mlops.cli.ingest import ingest_app
from mlops.cli.init import init
from mlops.cli.models import models_app
from mlops.cli.outcomes import outcomes
from mlops.cli.schedule import schedule_app
from mlops.cli.train import train

ORDER = (
    "db",
    "ingest",
    "features",
    "check",
    "init",
    "train",
    "models",
    "forecast",
    "outcomes",
    "drift",
    "schedule",
    "demo",
)
"""The commands in the order of the data, as `--help` lists them."""


class _InOrder(TyperGroup):
    """Lists its commands in that order; Typer would put those without subcommands first."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401 - Typer hides the type
        """Return the names of the commands."""
        return sorted(super().list_commands(ctx), key=ORDER.index)


app = typer.Typer(
    name="forecastle",
    cls=_InOrder,
    help="Forecast markets inside the warehouse: data, features, models, forecasts and what came of them, all in SQL.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="--debug, anywhere, shows where an error came from. FORECASTLE_DATABASE_URL names another database.",
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"forecastle {version('forecastle')}")
        raise typer.Exit


@app.callback()
def _of_the_whole(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", callback=_print_version, is_eager=True)
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what is done, to standard error.")] = False,
) -> None:
    """Take the options that belong to no command."""
    show_progress(not quiet)
    if verbose:
        from mlops.cli.logs import log_to_stderr

        log_to_stderr()


app.add_typer(db_app)
app.add_typer(ingest_app)
app.add_typer(features_app)
app.command()(check)
app.command()(init)
app.command()(train)
app.add_typer(models_app)
app.command()(forecast)
app.command()(outcomes)
app.command()(drift)
app.add_typer(schedule_app)
app.command()(demo)
