"""`forecastle forecast`: the newest feature rows through the model in production."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlops.cli.command import Command
from mlops.cli.connect import open_warehouse
from mlops.cli.options import AsJson, AsOf, DatabaseUrl
from mlops.cli.plain import plain

if TYPE_CHECKING:
    from datetime import datetime

    from mlops.domain import ModelVersion
    from mlops.forecasting import Forecast, VersionForecasts
    from mlops.warehouse import Warehouse

_SHOWN = 20
"""Forecasts in the table; ml_forecasts has them all."""


_REASONS = {
    "history": "for too few bars",
    "incomplete": "for a missing feature",
    "stale": "for bars that are too old",
    "quarantined": "in quarantine",
    "gate": "for a closed gate",
}


class Order(StrEnum):
    """What the forecasts that are printed are in the order of."""

    TICKER = "ticker"
    P50 = "p50"
    CONFIDENCE = "confidence"


def forecast(
    *,
    as_of: AsOf = None,
    model: Annotated[str | None, typer.Option("--model", metavar="MODEL", help="Only with this model.")] = None,
    symbol: Annotated[
        list[str] | None,
        typer.Option("--symbol", metavar="TICKER", help="Print this symbol's only; may be given several times."),
    ] = None,
    horizon: Annotated[
        list[int] | None,
        typer.Option("--horizon", metavar="BARS", help="Print this horizon's only; may be given several times."),
    ] = None,
    sort: Annotated[
        Order, typer.Option("--sort", help="By name, by the median (the highest first), or by the surest direction.")
    ] = Order.TICKER,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Forecast every symbol from its newest features, and print what production says, and its skill.

    Challengers forecast, too, in the shadow: the view model_predictions has what they say. Whatever is chosen to be
    printed, all symbols are forecast.

    Run again for the same moment it changes nothing: a forecast once made is never rewritten.
    """
    from jobs import forecast as job
    from mlops.clock import parse_as_of
    from mlops.forecasting import newest

    moment = parse_as_of(as_of)
    with open_warehouse(database_url) as warehouse:
        summary = job.run(warehouse, moment, model)
        skills = {each.version: _skills(warehouse, each.version) for each in summary.versions}
        forecasts = _chosen(newest(warehouse, moment, model=model), symbol, horizon, sort)
    if as_json:
        typer.echo(json.dumps(_as_data(moment, summary.versions, skills, forecasts)))
        return
    if forecasts:
        _show_tables(forecasts[:_SHOWN])
        if len(forecasts) > _SHOWN:
            typer.echo(f"{_SHOWN} of {len(forecasts):,}; the view ml_forecasts has them all.")
    for each in summary.versions:
        typer.echo(_summary(each))
        typer.echo(f"  Skill of MAE over naive on its test part: {_shown_skill(skills[each.version])}.")


def _chosen(
    forecasts: list[Forecast], symbols: list[str] | None, horizons: list[int] | None, order: Order
) -> list[Forecast]:
    """Return those of `symbols` and `horizons`, all without them. Raises BadParameter for what has no forecast."""
    for given, there, option in (
        (symbols, {each.ticker for each in forecasts}, "--symbol"),
        (horizons, {each.horizon for each in forecasts}, "--horizon"),
    ):
        for value in given or ():
            if value not in there:
                raise typer.BadParameter(f"there is no forecast of {value!r}.", param_hint=option)
    chosen = [
        each
        for each in forecasts
        if (not symbols or each.ticker in symbols) and (not horizons or each.horizon in horizons)
    ]
    if order is Order.P50:
        chosen.sort(key=lambda each: -each.p50)
    elif order is Order.CONFIDENCE:
        chosen.sort(key=lambda each: -each.probability)
    return chosen


def _skills(warehouse: Warehouse, version: ModelVersion) -> dict[str, float | None]:
    """Return 1 - MAE / naive MAE on the version's test part, by horizon."""
    from mlops.registry import show

    with warehouse.begin() as connection:
        metrics = show(connection, version).metrics
    return {horizon: entry["mae"]["skill"] for horizon, entry in metrics.get("test", {}).items()}


def _shown_skill(skills: dict[str, float | None]) -> str:
    shown = (f"h{horizon} " + ("-" if skill is None else f"{skill:+.1%}") for horizon, skill in skills.items())
    return ", ".join(shown) or "not measured"


def _summary(each: VersionForecasts) -> str:
    role = "in production" if each.role == "production" else "challenger"
    named = f"{each.version} ({each.candidate}), {role}"
    if each.error is not None:
        return f"{named}: no forecasts. {each.error}"
    refused = ", ".join(f"{n:,} {_REASONS[reason]}" for reason, n in each.refused.items())
    return (
        f"{named}: {each.symbols:,} symbols at {len(each.horizons)} horizons, {each.made:,} forecasts made, "
        f"{each.present:,} there already. Not forecast: {refused or 'none'}."
    )


def _show_tables(forecasts: list[Forecast]) -> None:
    """Print a table for each model, in 80 columns."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    for version in dict.fromkeys(each.version for each in forecasts):
        title = f"{plain(version)}: return until the horizon ends, in percent"
        table = Table(box=SIMPLE, padding=(0, 0, 0, 1), pad_edge=False, title=title, title_justify="left")
        for heading in ("symbol", "bars", "as of", "until", "p10", "p50", "p90", "direction", "sure"):
            right = heading in {"bars", "p10", "p50", "p90", "sure"}
            table.add_column(heading, justify="right" if right else "left", no_wrap=True)
        for each in (each for each in forecasts if each.version == version):
            table.add_row(
                plain(each.ticker),
                str(each.horizon),
                _moment(each.as_of, is_dated=each.is_dated),
                _moment(each.target_ts, is_dated=each.is_dated),
                *(f"{100 * value:+.2f}" for value in (each.p10, each.p50, each.p90)),
                each.direction,
                f"{each.probability:.0%}",
            )
        Console().print(table)


def _moment(moment: datetime, *, is_dated: bool) -> str:
    """Return the moment as the table has room for it: a date, or day and time, UTC."""
    return f"{moment:%Y-%m-%d}" if is_dated else f"{moment:%m-%d %H:%M}"


def _as_data(
    as_of: datetime,
    versions: tuple[VersionForecasts, ...],
    skills: dict[ModelVersion, dict[str, float | None]],
    forecasts: list[Forecast],
) -> dict[str, Any]:
    return {
        "as_of": as_of.isoformat(),
        "versions": [
            {
                "model": each.version.model,
                "version": each.version.version,
                "candidate": each.candidate,
                "role": each.role,
                "timeframe": each.timeframe,
                "horizons": list(each.horizons),
                "symbols": each.symbols,
                "made": each.made,
                "present": each.present,
                "refused": dict(each.refused),
                "error": each.error,
                "scoring_seconds": each.scoring_seconds,
                "skill": skills[each.version],
            }
            for each in versions
        ],
        "forecasts": [
            {
                "ticker": each.ticker,
                "timeframe": each.timeframe,
                "horizon": each.horizon,
                "as_of": each.as_of.isoformat(),
                "target_ts": each.target_ts.isoformat(),
                "p10": each.p10,
                "p50": each.p50,
                "p90": each.p90,
                "direction": each.direction,
                "probability": each.probability,
                "model": each.version.model,
                "version": each.version.version,
            }
            for each in forecasts
        ],
    }


COMMAND = Command("forecast", 80, forecast)
