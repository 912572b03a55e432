"""`forecastle drift`: whether the data, or the model's accuracy, has changed since training."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from mlops.cli.command import Command
from mlops.cli.connect import open_warehouse
from mlops.cli.options import AsJson, AsOf, DatabaseUrl
from mlops.cli.plain import plain

if TYPE_CHECKING:
    from rich.text import Text

    from mlops.drift import VersionDrift

_SHOWN = 8
"""Rows in each table; feature_drift and drift_monitoring have them all."""

_STYLES = {"monitor": "yellow", "alert": "red", "emergency": "bold red", "insufficient": "dim"}


def drift(as_of: AsOf = None, database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Measure how far features, predictions and accuracy have moved away from training, and print the worst."""
    from jobs import drift as job
    from mlops.clock import parse_as_of

    moment = parse_as_of(as_of)
    with open_warehouse(database_url) as warehouse:
        summary = job.run(warehouse, moment)
    if as_json:
        typer.echo(json.dumps(asdict(summary), default=str))
        return
    for version in summary.versions:
        _show_features(version)
        _show_symbols(version)
        typer.echo(
            f"{version.version} over the {version.window_days} days until {summary.day}: features and predictions "
            f"{_counts(version.feature_states())}; symbols {_counts(version.symbol_states())}."
        )


def _counts(states: Counter[str]) -> str:
    return ", ".join(f"{n:,} {state}" for state, n in states.most_common()) or "none"


def _show_features(version: VersionDrift) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE, title="Population stability index, the highest first", title_justify="left")
    for heading in ("feature", "PSI", "rows now", "rows of reference", "state"):
        table.add_column(heading, justify="left" if heading in {"feature", "state"} else "right")
    for each in sorted(version.features, key=lambda each: -1.0 if each.psi is None else each.psi, reverse=True)[
        :_SHOWN
    ]:
        psi = "-" if each.psi is None else f"{each.psi:.3f}"
        table.add_row(plain(each.feature), psi, f"{each.n_current:,}", f"{each.n_reference:,}", _styled(each.state))
    Console().print(table)


def _show_symbols(version: VersionDrift) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    if not version.symbols:
        return
    table = Table(box=SIMPLE, title="Directions that were right, in percent, the worst first", title_justify="left")
    for heading in ("symbol", "outcomes", "right", "baseline", "margin", "state"):
        table.add_column(heading, justify="left" if heading in {"symbol", "state"} else "right")
    for each in version.symbols[:_SHOWN]:
        right, margin = (
            "-" if value is None else f"{100 * value:{sign}.1f}"
            for value, sign in ((each.accuracy, ""), (each.drift_margin, "+"))
        )
        baseline = f"{100 * each.baseline_accuracy:.1f}"
        table.add_row(plain(each.ticker), f"{each.n_predictions:,}", right, baseline, margin, _styled(each.state))
    Console().print(table)


def _styled(state: str) -> Text:
    text = plain(state)
    text.stylize(_STYLES.get(state, ""))
    return text


COMMAND = Command("drift", 100, drift)
