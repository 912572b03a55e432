"""The command line: one file a group of commands, heavy libraries imported only by the command that needs them."""

from __future__ import annotations

import sys

import typer

from mlops.exceptions import ForecastleError
from mlops.printable import cut, printable


def main() -> None:
    """Run `forecastle`; exit status 1 for an error, 2 for wrong usage. `--debug` shows where an error came from."""
    arguments = sys.argv[1:]
    ours = arguments[: arguments.index("--")] if "--" in arguments else arguments
    debug = "--debug" in ours
    if debug:
        arguments.remove("--debug")
    from mlops.cli.commands import app

    try:
        app(arguments, prog_name="forecastle")
    except ForecastleError as error:
        if debug:
            raise
        typer.secho("error: ", fg="red", bold=True, nl=False, err=True)
        typer.echo(str(error), err=True)
        sys.exit(1)
    except BrokenPipeError:
        # Whoever read our output has stopped: nothing is wrong, and there is nobody to tell.
        sys.stderr.close()
        sys.exit(141)
    except Exception as error:
        if debug:
            raise
        typer.secho("error: ", fg="red", bold=True, nl=False, err=True)
        message = printable(cut(" ".join(str(error).split()), 300))
        typer.echo(f"{type(error).__name__}: {message}. This is a bug; --debug shows where.", err=True)
        sys.exit(1)
