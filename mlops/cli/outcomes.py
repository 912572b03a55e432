"""`forecastle outcomes`: what came of the forecasts whose horizon has passed."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from mlops.cli.command import Command
from mlops.cli.connect import open_warehouse
from mlops.cli.options import AsJson, AsOf, DatabaseUrl
from mlops.cli.plain import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Row

_COLUMNS = (
    "model", "version", "horizon", "day", "n", "mae", "naive_mae", "skill", "directional_accuracy",
    "majority_accuracy", "coverage_80",
)  # fmt: skip


def outcomes(as_of: AsOf = None, database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Fill in what came of earlier forecasts, and print how good those of the last 90 days were beside naive."""
    from jobs import outcomes as job
    from mlops.clock import parse_as_of
    from mlops.warehouse import sql

    moment = parse_as_of(as_of)
    with open_warehouse(database_url) as warehouse:
        summary = job.run(warehouse, moment)
        with warehouse.begin() as connection:
            accuracy = connection.execute(sql("cli", "outcomes_accuracy"), {"day": moment.date()}).all()
    if as_json:
        rows = [dict(zip(_COLUMNS, row, strict=True)) for row in accuracy]
        typer.echo(json.dumps({**asdict(summary), "accuracy_90_days": rows}, default=str))
        return
    if accuracy:
        _show_table(accuracy)
    overdue = f", of which {summary.overdue:,} should be known by the calendar" if summary.overdue else ""
    typer.echo(
        f"{summary.resolved:,} forecasts resolved, {summary.corrected:,} corrected; "
        f"{summary.waiting:,} still open{overdue}."
    )


def _show_table(accuracy: Sequence[Row[Any]]) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    table = Table(
        box=SIMPLE,
        padding=(0, 0, 0, 1),
        title="Outcomes that became known in the 90 days until the day, in percent",
        title_justify="left",
    )
    for heading in ("model", "bars", "until", "n", "MAE", "naive", "skill", "right", "majority", "in band"):
        table.add_column(heading, justify="left" if heading == "model" else "right", no_wrap=True)
    for row in accuracy:
        table.add_row(
            plain(f"{row.model} v{row.version}"),
            str(row.horizon),
            str(row.day),
            f"{row.n:,}",
            f"{100 * row.mae:.3f}",
            f"{100 * row.naive_mae:.3f}",
            "-" if row.skill is None else f"{100 * row.skill:+.1f}",
            *(f"{100 * value:.1f}" for value in (row.directional_accuracy, row.majority_accuracy, row.coverage_80)),
        )
    Console().print(table)


COMMAND = Command("outcomes", 90, outcomes)
