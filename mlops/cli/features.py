"""`forecastle features`: features and labels, as dbt derives them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from mlops import clock
from mlops.cli.command import Command
from mlops.cli.connect import open_warehouse, shown_progress
from mlops.cli.options import AsJson, DatabaseUrl

features_app = typer.Typer(name="features", help="Features and labels: bring them up to date.", no_args_is_help=True)


@features_app.callback()
def features() -> None:
    """Features and labels: bring them up to date."""


@features_app.command()
def build(
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Build everything anew, not only what new and corrected bars reach.")
    ] = False,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Derive staging, features, labels and the analyst's views from the bars, by what is new in them."""
    with open_warehouse(database_url) as warehouse, shown_progress() as progress:
        progress("Building features and labels", None)
        from jobs import features

        result = features.run(warehouse, clock.now(), full_refresh=full_refresh)
    if as_json:
        typer.echo(json.dumps({"rows": result.rows, "models": [asdict(model) for model in result.models]}))
        return
    for model in result.models:
        if model.rows is not None:
            typer.echo(f"{model.name}: {model.rows:,} rows written in {model.seconds:.1f} s")


COMMAND = Command("features", 30, features_app)
