"""`forecastle demo`: real prices all the way, and what an analyst then sees."""

from __future__ import annotations

import os
import shutil
import sys
import time
from importlib.resources import files
from typing import TYPE_CHECKING

import typer

from mlops.cli.command import Command
from mlops.cli.connect import named_url, resolve_url, shown_progress
from mlops.cli.options import DatabaseUrl
from mlops.cli.plain import plain

if TYPE_CHECKING:
    from rich.console import Console

    from mlops.warehouse import Warehouse

DATABASE = "forecastle_demo"

SPECS = ("stocks_d1/gbm", "stocks_d1/forest", "stocks_d1/band")
"""What goes into production, a challenger in the shadow, and what a practitioner would do."""

SHOWN = (
    ("Forecasts: production's newest, forward return in percent", "demo_forecasts"),
    ("How earlier forecasts of production and challengers turned out, in percent", "demo_accuracy"),
    ("Skill over naive on the test part, in percent", "demo_versions"),
    ("Realised accuracy beside the validation baseline, last 30 days", "demo_drift"),
    ("The features that moved most since training, last 30 days", "demo_feature_drift"),
)


def demo(database_url: DatabaseUrl = None) -> None:
    """Take real prices all the way to forecasts, outcomes and drift, and print what an analyst sees.

    Works in a database of its own, forecastle_demo. It trains as of a past date and goes through the 60 trading days
    after it one by one, as if live. Run again, it does what is not done yet and prints the same.
    """
    from rich.console import Console

    from jobs import demo as job
    from mlops.training import find_spec
    from mlops.warehouse import Warehouse
    from mlops.warehouse.databases import ensure_database
    from mlops.warehouse.migrate import migrate

    began = time.monotonic()
    console = Console()
    with shown_progress() as progress, Warehouse(ensure_database(resolve_url(database_url), DATABASE)) as warehouse:
        migrate(warehouse)
        as_of = job.run(warehouse, [find_spec(name) for name in SPECS], progress)
        progress("Reading the analyst's tables", None)
    with Warehouse(warehouse.plain_url) as warehouse:
        for title, query in SHOWN:
            _show(console, warehouse, title, query)
    console.print(f"\nThe way of the data as of {as_of:%Y-%m-%d %H:%M} UTC took {time.monotonic() - began:.0f} s.")
    # As it can be typed here: whoever came by `make demo` has no virtual environment in the PATH.
    program = "forecastle" if shutil.which("forecastle") else os.path.relpath(sys.argv[0])
    psql = f"{program} db psql --database {DATABASE}"
    if named_url(database_url):
        psql = f"psql {warehouse.url.set(drivername='postgresql').render_as_string(hide_password=True)}"
    console.print("Look around yourself, as the analyst:\n")
    console.print(plain(f"    {psql}"), style="bold", highlight=False, soft_wrap=True)


def _show(console: Console, warehouse: Warehouse, title: str, query: str) -> None:
    from rich.table import Table
    from sqlalchemy import text

    from mlops.domain import Role

    statement = (files("mlops.cli") / f"{query}.sql").read_text(encoding="utf-8").rstrip()
    with warehouse.begin(Role.ANALYST) as connection:
        result = connection.execute(text(statement))
        table = Table(show_edge=False, pad_edge=False)
        for column in tuple(result.keys()):
            table.add_column(column)
        for row in result:
            table.add_row(*("" if value is None else plain(value) for value in row))
    console.print(f"\n{title}", style="bold", highlight=False)
    console.print(table)
    console.print(statement, style="dim", markup=False, highlight=False, soft_wrap=True)
    if not table.row_count:
        typer.echo("(no rows)")


COMMAND = Command("demo", 120, demo)
