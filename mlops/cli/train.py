"""`forecastle train`: from a specification to a registered version, and how good it is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlops.cli.command import Command
from mlops.cli.connect import open_warehouse, progress_console
from mlops.cli.options import AsJson, AsOf, DatabaseUrl

if TYPE_CHECKING:
    from jobs.train import TrainResult
    from mlops.training import Progress

_SHOWN = {
    "mae": ("MAE, %", 100),
    "rmse": ("RMSE, %", 100),
    "pinball": ("pinball loss, %", 100),
    "coverage_80": ("in 80 % band, %", 100),
    "accuracy": ("accuracy, %", 100),
    "log_loss": ("log loss", 1),
}

_ROLES = {"production": "in production", "staging": "in staging", "challenger": "a challenger"}

_STEPS = {
    "choose": "Choosing and splitting the rows",
    "check": "Checking them",
    "read": "Reading them",
    "fit": "Fitting",
    "export": "Exporting to ONNX, comparing",
    "judge": "Judging on validation and test",
    "register": "Registering",
}


def train(
    spec: Annotated[
        str,
        typer.Argument(
            metavar="SPEC",
            help="The specification: its name, such as stocks_d1/gbm (below specs/ here, or shipped), or a TOML file.",
        ),
    ],
    as_of: AsOf = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Train a candidate on what was known at a moment, check it, register it, and print how good it is beside naive.

    A new version waits as staging, unless the specification says otherwise; `models promote` puts it into production.
    Nothing is registered where the checks of the training set fail, or where the exported model forecasts otherwise
    than the trained one.
    """
    from jobs import train as job
    from mlops.clock import parse_as_of
    from mlops.training import find_spec

    declared = find_spec(spec)
    moment = parse_as_of(as_of)
    with open_warehouse(database_url) as warehouse, _shown_progress() as progress:
        result = job.run(warehouse, moment, declared, progress)
    if as_json:
        typer.echo(json.dumps(as_data(result), default=str))
        return
    show(result)


def as_data(result: TrainResult) -> dict[str, Any]:
    """Return the result as JSON has it."""
    registered = result.registered
    return {
        "run_id": str(result.run_id),
        "model": registered.version.model,
        "version": registered.version.version,
        "is_new": registered.is_new,
        "alias": registered.alias,
        "reason": registered.reason,
        "sha256": registered.sha256,
        "data_fingerprint": result.dataset.fingerprint,
        "split": asdict(result.dataset.plan),
        "metrics": registered.metrics,
        "parity_max_abs_diff": result.parity_max_abs_diff,
        "seconds": result.seconds,
    }


def show(result: TrainResult) -> None:
    """Print what was trained on, how good it is and what became of it."""
    rows, plan, registered = result.dataset.rows, result.dataset.plan, result.registered
    left_out = ", ".join(f"{n:,} {cause}" for cause, n in result.dataset.excluded.items() if n) or "none"
    typer.echo(
        f"Rows: {rows['train']:,} train from {plan.train_from:%Y-%m-%d}, {rows['validation']:,} validation from "
        f"{plan.validation_open_from:%Y-%m-%d}, {rows['test']:,} test from {plan.test_open_from:%Y-%m-%d} to "
        f"{plan.test_to:%Y-%m-%d}; {rows['purged']:,} purged, {rows['embargoed']:,} embargoed; left out: {left_out}."
    )
    show_metrics(registered.metrics)
    if registered.is_new:
        typer.echo(f"{registered.version} is now {_ROLES[registered.alias or '']}. {registered.reason}")
    else:
        typer.echo(f"Nothing new: {registered.reason}.")


def show_metrics(metrics: Mapping[str, Any]) -> None:
    """Print the metrics on the test part, each beside naive on the same rows, and the skill on validation."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE)
    table.add_column("horizon")
    table.add_column("test part")
    for name in ("model", "naive", "skill", "on validation"):
        table.add_column(name, justify="right")
    for horizon, entry in metrics["test"].items():
        validation = metrics["validation"][horizon]
        for row, (name, (label, scale)) in enumerate(_SHOWN.items()):
            metric = entry[name]
            table.add_row(
                f"{horizon} ({entry['n']:,} rows)" if row == 0 else "",
                label,
                f"{metric['model'] * scale:.3f}",
                f"{metric['naive'] * scale:.3f}",
                _percent(metric["skill"]),
                _percent(validation[name]["skill"]),
                end_section=row == len(_SHOWN) - 1,
            )
    Console().print(table)
    seen = metrics["test_windows_seen_before"]
    if seen:
        typer.echo(
            f"{seen} earlier version{'s' if seen > 1 else ''} of this model looked at days of this test part: "
            "the more often it is looked at, the less it proves."
        )


def _percent(skill: float | None) -> str:
    return "" if skill is None else f"{skill:+.1%}"


@contextmanager
def _shown_progress() -> Iterator[Progress]:
    """Show the steps as a bar on standard error, which vanishes at the end."""
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Bar(*columns, console=progress_console(), transient=True) as bar:
        task = bar.add_task("", total=1)

        def show_step(what: str, done: int, total: int) -> None:
            bar.update(task, description=_STEPS.get(what, what), completed=done, total=total)

        yield show_step


COMMAND = Command("train", 60, train)
