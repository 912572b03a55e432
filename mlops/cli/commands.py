"""All commands, put together. Importing this loads no library heavier than Typer."""

from __future__ import annotations

from typing import Annotated

import typer

from mlops.cli.check import check
from mlops.cli.db import db_app
from mlops.cli.demo import demo
from mlops.cli.drift import drift
from mlops.cli.features import features_app
from mlops.cli.forecast import forecast
from mlops.cli.ingest import ingest_app
from mlops.cli.models import models_app
from mlops.cli.outcomes import outcomes
from mlops.cli.schedule import schedule_app
from mlops.cli.train import train

app = typer.Typer(
    name="forecastle",
    help="Forecast markets inside the warehouse: data, features, models, forecasts and what came of them, all in SQL.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
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
) -> None:
    """Take the options that belong to no command."""


# In the order of the data.
app.add_typer(db_app)
app.add_typer(ingest_app)
app.add_typer(features_app)
app.command()(check)
app.command()(train)
app.add_typer(models_app)
app.command()(forecast)
app.command()(outcomes)
app.command()(drift)
app.add_typer(schedule_app)
app.command()(demo)
