"""The command line: one file a group of commands, heavy libraries imported only by the command that needs them."""

from __future__ import annotations

import json
import logging
import sys
from typing import NoReturn

import typer

from mlops.exceptions import ForecastleError
from mlops.printable import cut, printable

_INTERRUPTED = 130
"""The exit status of a program that Ctrl-C ended, in shells and in Typer."""


def main() -> None:
    """Run `forecastle`. `--debug` shows where an error came from.

    Exit status 1 for an error, which `--json` prints as an object with `error`, its kind, and `message`; 2 for wrong
    usage, 130 after Ctrl-C.
    """
    arguments = sys.argv[1:]
    ours = arguments[: arguments.index("--")] if "--" in arguments else arguments
    debug = "--debug" in ours
    # Interrupted while it connects, it warns of a rollback that could not be sent, though nothing was begun.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    if debug:
        arguments.remove("--debug")
    try:
        from mlops.cli.commands import app

        app(arguments, prog_name="forecastle")
    except KeyboardInterrupt:
        _interrupted()
    except SystemExit as ended:
        if ended.code != _INTERRUPTED:
            raise
        _interrupted()
    except ForecastleError as error:
        if debug:
            raise
        _fail(error, str(error), as_json="--json" in ours)
    except BrokenPipeError:
        # Whoever read our output has stopped: nothing is wrong, and there is nobody to tell.
        sys.stderr.close()
        sys.exit(141)
    except Exception as error:
        if debug:
            raise
        said = printable(cut(" ".join(str(error).split()), 300))
        message = f"{type(error).__name__}: {said}. This is a bug; --debug shows where."
        _fail(error, message, as_json="--json" in ours)


def _fail(error: Exception, message: str, *, as_json: bool) -> NoReturn:
    if as_json:
        typer.echo(json.dumps({"error": type(error).__name__, "message": message}))
    else:
        typer.secho("error: ", fg="red", bold=True, nl=False, err=True)
        typer.echo(message, err=True)
    sys.exit(1)


def _interrupted() -> NoReturn:
    typer.echo("Interrupted. What was complete stays; what was going on left nothing half done.", err=True)
    sys.exit(_INTERRUPTED)
