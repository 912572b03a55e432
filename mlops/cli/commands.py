"""All commands, put together: each module of this package that declares one (see `command`) is found.

Importing this loads no library heavier than Typer.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import mlops.cli
from mlops.cli.command import Command
from mlops.cli.connect import show_progress


def _declared() -> list[Command]:
    """Return what the modules of this package declare, in the order of the data, as `--help` lists it."""
    modules = (import_module(f"mlops.cli.{each.name}") for each in iter_modules(mlops.cli.__path__))
    found: list[Command] = [module.COMMAND for module in modules if hasattr(module, "COMMAND")]
    return sorted(found, key=lambda command: (command.place, command.name))


_COMMANDS = _declared()
ORDER = tuple(command.name for command in _COMMANDS)


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


for _command in _COMMANDS:
    if isinstance(_command.does, typer.Typer):
        app.add_typer(_command.does, name=_command.name)
    else:
        app.command(_command.name)(_command.does)
