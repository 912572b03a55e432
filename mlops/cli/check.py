"""`forecastle check`: whether the data may be used."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from mlops.cli.connect import open_warehouse, shown_progress
from mlops.cli.options import AsJson, AsOf, DatabaseUrl
from mlops.cli.plain import plain

if TYPE_CHECKING:
    from mlops.checks import CheckReport


def check(
    *,
    suite: Annotated[
        list[str] | None,
        typer.Option(
            "--suite", metavar="NAME", help="Only market, features, labels or freshness; may be given several times."
        ),
    ] = None,
    timeframe: Annotated[str, typer.Option("--timeframe", metavar="NAME", help="Bars of this length.")] = "d1",
    everything: Annotated[
        bool, typer.Option("--all", help="The whole history instead of the last 30 sessions.")
    ] = False,
    as_of: AsOf = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Check the bars, features and labels, and print what was found; exit status 1 where they may not be used.

    A training set is checked by `forecastle train`, while it is there. All results stay in the view data_quality.
    """
    from mlops import checks
    from mlops.clock import parse_as_of
    from mlops.domain import DAILY_SUITES

    moment = parse_as_of(as_of)
    names = tuple(suite or DAILY_SUITES)
    for name in names:
        if name not in DAILY_SUITES:
            raise typer.BadParameter(f"{name!r} is none of {', '.join(DAILY_SUITES)}.", param_hint="--suite")
    with open_warehouse(database_url) as warehouse, shown_progress() as progress:
        progress("Checking", None)
        report = checks.run(
            warehouse,
            names,
            as_of=moment,
            timeframe=timeframe,
            since=checks.BEGINNING if everything else None,
        )
    if as_json:
        typer.echo(json.dumps({**asdict(report), "passed": report.passed}, default=str))
        if not report.passed:
            raise typer.Exit(1)
        return
    _show(report)
    checks.gate(report)


def _show(report: CheckReport) -> None:
    from rich.console import Console
    from rich.table import Table

    title = plain(f"Checks of {report.timeframe} as of {report.as_of:%Y-%m-%d %H:%M} UTC")
    table = Table(title=title, title_justify="left")
    for heading in ("suite", "expectation", "", "observed"):
        table.add_column(heading, overflow="fold")
    for result in report.results:
        verdict = "[green]ok[/]" if result.success else "[red]FAILED[/]"
        table.add_row(result.suite, result.expectation, verdict, plain(result.observed))
    console = Console()
    console.print(table)
    console.print(f"{len(report.results)} expectations, {len(report.failures)} failed; run {report.run_id}")
