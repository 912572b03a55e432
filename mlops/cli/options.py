"""Options that several commands take, defined once."""

from __future__ import annotations

from typing import Annotated

import typer

DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database-url", metavar="URL", help="A PostgreSQL server with TimescaleDB instead of the embedded one."
    ),
]

AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        metavar="TIME",
        help="Use only what was known then: 2017-06-30 (the end of that day) or 2017-06-30T20:00:00+00:00; UTC.",
    ),
]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
