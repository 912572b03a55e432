"""`forecastle check`: whether the data may be used."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from mlops.cli.command import Command
from mlops.cli.connect import open_warehouse, shown_progress
from mlops.cli.options import AsJson, AsOf, DatabaseUrl
from mlops.domain import DAILY
from mlops.printable import printable

if TYPE_CHECKING:
    from mlops.checks import CheckFindings, CheckResult


def check(
    *,
    suite: Annotated[
        list[str] | None,
        typer.Option(
            "--suite", metavar="NAME", help="Only market, features, labels or freshness; may be given several times."
        ),
    ] = None,
    timeframe: Annotated[str, typer.Option("--timeframe", metavar="NAME", help="Bars of this length.")] = DAILY,
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
    from jobs import check as job
    from mlops import checks
    from mlops.clock import parse_as_of
    from mlops.domain import DAILY_SUITES
    from mlops.exceptions import GateClosedError

    moment = parse_as_of(as_of)
    names = tuple(suite or DAILY_SUITES)
    for name in names:
        if name not in DAILY_SUITES:
            raise typer.BadParameter(f"{name!r} is none of {', '.join(DAILY_SUITES)}.", param_hint="--suite")
    with open_warehouse(database_url) as warehouse, shown_progress() as progress:
        progress("Checking", None)
        since = checks.BEGINNING if everything else None
        closed: GateClosedError | None = None
        findings: CheckFindings
        try:
            findings = job.run(warehouse, moment, timeframe, suites=names, since=since)
        except GateClosedError as error:
            closed, findings = error, error.findings
    if as_json:
        typer.echo(json.dumps({**asdict(findings), "passed": findings.passed}, default=str))
        if closed is not None:
            raise typer.Exit(1)
        return
    _show(findings)
    if closed is not None:
        raise closed


def _show(findings: CheckFindings) -> None:
    """Print a line a suite, and below it each expectation that failed."""
    typer.echo(f"Checks of {printable(findings.timeframe)} as of {findings.as_of:%Y-%m-%d %H:%M} UTC")
    for suite in dict.fromkeys(result.suite for result in findings.results):
        results = [result for result in findings.results if result.suite == suite]
        failed = [result for result in results if not result.success]
        closing = sum(not result.quarantined for result in failed)
        verdict = "FAILED" if closing else "ok"
        told = f"{len(results)} expectations, {len(failed)} failed"
        if len(failed) > closing:
            told += f" ({len(failed) - closing} for symbols that are in quarantine)"
        typer.echo(f"{suite:<10} {verdict:<7} {told}")
        for result in failed:
            typer.echo(f"    {result.expectation}: {printable(result.observed)}{_symbols(result)}")
    left_out = len(findings.quarantined)
    if left_out:
        typer.echo(f"{left_out} symbol{'' if left_out == 1 else 's'} in quarantine; the view quarantine names them.")
    typer.echo(f"{len(findings.results)} expectations, {len(findings.failures)} failed; run {findings.run_id}")


def _symbols(result: CheckResult) -> str:
    n = len(result.symbols_at_fault)
    return f", of {n:,} symbol{'' if n == 1 else 's'}" if n else ""


COMMAND = Command("check", 40, check)
