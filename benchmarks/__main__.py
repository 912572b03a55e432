"""`make bench`: measure everything in databases of their own, and print the table."""

from __future__ import annotations

import sys
from importlib import import_module

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import create_engine, text

from benchmarks.row import Row
from benchmarks.trained import DAILY
from mlops.cli.connect import resolve_url
from mlops.warehouse import Warehouse
from mlops.warehouse.databases import ensure_database
from mlops.warehouse.engine import parse_url
from mlops.warehouse.migrate import migrate

MODULES = ("startup", "ingest", "features", "forecast", "drift", "views", "training_matrix", "many")
"""Those of one group share a database; the training matrix comes last of its group, since it trains on what drift is
yet to live through. `many` takes the longest, a quarter of an hour."""
GROUPS = {
    "startup": "a", "ingest": "a", "features": "b", "training_matrix": "c", "forecast": "c", "drift": "c", "views": "c",
    "many": "de",
}  # fmt: skip
"""The databases of each module, a letter each."""


def main() -> None:
    """Run the benchmarks named on the command line, or all."""
    chosen = sys.argv[1:] or MODULES
    console = Console()
    if not DAILY.exists():
        console.print(f"{DAILY.name} is not there: of the benchmarks only 'startup' can run.")
    server = resolve_url(None)
    databases: dict[str, str] = {}
    table = Table(title="Ours beside the alternative, in one run", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("what, against what, and the goal")
    for column in ("ours", "theirs", "ratio", "met"):
        table.add_column(column, justify="right", no_wrap=True)
    try:
        for name in MODULES:
            if name not in chosen:
                continue
            console.print(f"{name} ...", style="dim")
            wanted = [f"forecastle_bench_{letter}" for letter in GROUPS[name]]
            for database in wanted:
                if database not in databases:
                    databases[database] = ensure_database(server, database)
                    with Warehouse(databases[database]) as warehouse:
                        migrate(warehouse)
            for row in import_module(f"benchmarks.{name}").run(*(databases[database] for database in wanted)):
                _add(table, row)
    finally:
        engine = create_engine(parse_url(server), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for database in databases:
                connection.execute(text(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)"))
        engine.dispose()
        console.print(table)


def _add(table: Table, row: Row) -> None:
    theirs = "" if row.theirs is None else f"{row.theirs:,.3g} {row.unit}"
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    what = Text.assemble(row.what, (f"\nagainst {row.alternative}; {row.goal}", "dim"))
    table.add_row(what, f"{row.ours:,.3g} {row.unit}", theirs, ratio, "yes" if row.met else "NO")


if __name__ == "__main__":
    main()
