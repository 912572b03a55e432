"""What a module of this package declares, so that `forecastle` has its command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import typer


@dataclass(frozen=True, slots=True)
class Command:
    """A command; a module of `mlops.cli` that binds one to `COMMAND` is found by it.

    The module is imported at every start, also for `forecastle --help`: it imports what is heavy (the database, pandas,
    jobs) inside its functions.

    Attributes:
        name: what is typed after `forecastle`.
        place: where `--help` lists it, by number. The order is that of the data, the numbers ten apart.
        does: the function that is called; a Typer for a command with subcommands.
    """

    name: str
    place: int
    does: typer.Typer | Callable[..., None]
