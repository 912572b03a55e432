"""All commands, put together. Importing this loads no library heavier than Typer."""

from __future__ import annotations

from collections.abc import Callable
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

# Those with subcommands and those without, in the order of the data, as `--help` lists them.
_COMMANDS: dict[str, typer.Typer | Callable[..., None]] = {
    "db": db_app,
    "ingest": ingest_app,
    "features": features_app,
    "check": check,
    "init": init,
    "train": train,
    "models": models_app,
    "forecast": forecast,
    "outcomes": outcomes,
    "drift": drift,
    "schedule": schedule_app,
    "demo": demo,
}
ORDER = tuple(_COMMANDS)


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


for _name, _command in _COMMANDS.items():
    if isinstance(_command, typer.Typer):
        app.add_typer(_command, name=_name)
    else:
        app.command(_name)(_command)
