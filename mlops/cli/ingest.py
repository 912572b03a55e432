"""`forecastle ingest`: market data into the warehouse."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.main
from typer.core import TyperGroup

from mlops import clock
from mlops.cli.command import Command
from mlops.cli.connect import open_warehouse, shown_progress
from mlops.cli.options import AsJson, DatabaseUrl
from mlops.domain import DAILY
from mlops.printable import cut, printable

if TYPE_CHECKING:
    from mlops.sources import Asked, FileSource, Ingested, Kind, Provider, Source
    from mlops.warehouse import Warehouse

_SHOWN = 8
"""Columns of a file that are named, of those that were not read."""


class _WithKinds(TyperGroup):
    """Beside the commands that are written here, it has one for each kind of rows: looked for when it is asked."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401 - Typer hides the type
        """Return the names of the commands."""
        from mlops.sources import kinds

        return [*super().list_commands(ctx), *kinds()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401 - Typer hides the type
        """Return the command of that name, None where there is none."""
        from mlops.sources import kinds

        found = super().get_command(ctx, cmd_name)
        if found is not None or cmd_name not in kinds():
            return found
        return typer.main.get_command(_command_of(kinds()[cmd_name]))


ingest_app = typer.Typer(
    name="ingest", cls=_WithKinds, help="Market data: take bars in, earnings, lists of symbols.", no_args_is_help=True
)


def _sources() -> list[str]:
    """Return the names of what bars are taken from when not from a file."""
    from mlops.sources import providers

    return list(providers())


File = Annotated[
    Path | None,
    typer.Argument(metavar="FILE", help="Parquet or CSV (also .csv.gz), columns in any order.", show_default=False),
]
Mapped = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="FIELD=COLUMN", help="Which column holds a field, where names do not say it."),
]
Symbols = Annotated[
    list[str] | None,
    typer.Option("--symbol", metavar="TICKER", help="The symbol of a file without such a column, or those to fetch."),
]


@ingest_app.callback()
def ingest() -> None:
    """Market data: take bars in, earnings, lists of symbols."""


@ingest_app.command()
def bars(
    file: File = None,
    *,
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            metavar="NAME",
            help="Take bars from there instead of a file: sample, yahoo, or what else there is in mlops/sources.",
            autocompletion=_sources,
        ),
    ] = None,
    symbol: Symbols = None,
    first: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d"], metavar="DATE", help="First day to take from a --source."),
    ] = None,
    last: Annotated[
        datetime | None,
        typer.Option("--to", formats=["%Y-%m-%d"], metavar="DATE", help="Last day to take from a --source."),
    ] = None,
    timeframe: Annotated[
        str | None,
        typer.Option("--timeframe", metavar="NAME", help="m1 to h4, d1 or w1; not needed for days."),
    ] = None,
    timezone: Annotated[
        str | None,
        typer.Option("--timezone", metavar="NAME", help="Timezone of times without an offset: America/New_York, UTC."),
    ] = None,
    exchange: Annotated[
        str | None,
        typer.Option(
            "--exchange", metavar="NAME", help="Where new symbols trade: XNYS, XLON, 24/5, ... (by asset class)."
        ),
    ] = None,
    asset_class: Annotated[
        str | None,
        typer.Option(
            "--asset-class", metavar="NAME", help="What new symbols are: equity (default), index, fx, crypto."
        ),
    ] = None,
    mapped: Mapped = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Take bars in: new ones are added, corrected ones replaced (what they were is kept), untrue ones rejected."""
    from mlops.sources import Asked, FileSource, ingest_bars

    asked = Asked(symbol or [], first.date() if first else None, last.date() if last else None, timeframe or DAILY)
    provider = _provider_named(file, source)
    if provider is None:
        chosen: Source = _bar_file(file, asked, mapped)
    else:
        chosen = _fetched(provider, asked, mapped)
        exchange, asset_class = exchange or provider.exchange, asset_class or provider.asset_class
    ingested = _taken_in(
        "bars",
        chosen,
        partial(ingest_bars, timeframe=timeframe, exchange=exchange, asset_class=asset_class, timezone=timezone),
        database_url,
    )
    _say(ingested, as_json=as_json, ignored=chosen.ignored if isinstance(chosen, FileSource) else ())


def _command_of(kind: Kind) -> typer.Typer:
    """Return the command that takes rows of `kind` in."""
    name = kind.layout.kind

    def take_in(
        file: Annotated[Path, typer.Argument(metavar="FILE", help="Parquet or CSV (also .csv.gz).")],
        symbol: Annotated[
            str | None, typer.Option("--symbol", metavar="TICKER", help="The symbol of a file without such a column.")
        ] = None,
        mapped: Mapped = None,
        database_url: DatabaseUrl = None,
        as_json: AsJson = False,
    ) -> None:
        from mlops.sources import FileSource

        chosen = FileSource(file, mapping=_mapping(mapped), symbol=symbol)
        _say(_taken_in(name, chosen, kind.ingest, database_url), as_json=as_json, ignored=chosen.ignored)

    alone = typer.Typer(add_completion=False)
    needed = ", ".join(each.name for each in kind.layout.fields if each.required)
    more = ", ".join(each.name for each in kind.layout.fields if not each.required)
    fields = f"A row has {needed}" + (f", and where the file has them {more}." if more else ".")
    alone.command(name, help=f"{kind.help}\n\n{fields}")(take_in)
    return alone


def _taken_in(
    kind: str, chosen: Source, ingest: Callable[[Warehouse, Source], Ingested], database_url: str | None
) -> Ingested:
    """Take `chosen` in by `ingest` as a job, and show what goes on meanwhile.

    A file that is not there is a slip of whoever types, and leaves no row.
    """
    from jobs.ingest import typed
    from mlops.sources import FileSource

    if isinstance(chosen, FileSource):
        chosen.require()
    with shown_progress() as progress:
        progress(f"Taking in {chosen.name}", None)
        with open_warehouse(database_url) as warehouse:
            return typed(
                warehouse,
                clock.now(),
                kind,
                partial(ingest, warehouse, chosen),
                lambda holder: progress(f"Waiting until {holder} has taken in its {kind}", None),
            )


def _provider_named(file: Path | None, source: str | None) -> Provider | None:
    """Return what `--source` names, None for a file; where it is both or neither, or there is none, it is status 2."""
    from mlops.sources import providers

    if (file is None) == (source is None):
        raise typer.BadParameter("name either a FILE or a --source", param_hint="FILE")
    if source is not None and source not in providers():
        raise typer.BadParameter(f"There is no {source!r}. There are {', '.join(providers())}.", param_hint="--source")
    return None if source is None else providers()[source]


def _bar_file(file: Path | None, asked: Asked, mapped: list[str] | None) -> FileSource:
    """Return the file as a source; options that are for others end with status 2."""
    from mlops.sources import FileSource

    if asked.since or asked.until:
        raise typer.BadParameter("a file is taken as a whole; only a --source takes it", param_hint="--from/--to")
    if len(asked.symbols) > 1:
        raise typer.BadParameter("a file without a column for it has one symbol", param_hint="--symbol")
    return FileSource(file or Path(), mapping=_mapping(mapped), symbol=asked.symbols[0] if asked.symbols else None)


def _fetched(provider: Provider, asked: Asked, mapped: list[str] | None) -> Source:
    """Return what is asked of `provider` as a source; wrong combinations of options end with status 2."""
    if mapped:
        raise typer.BadParameter("only a FILE has columns to map", param_hint="--map")
    if asked.symbols and not provider.by_symbol:
        raise typer.BadParameter(f"{provider.name} is taken with all its symbols", param_hint="--symbol")
    if provider.by_symbol and (not asked.symbols or asked.since is None):
        raise typer.BadParameter(f"{provider.name} needs --symbol (once for each) and --from", param_hint="--source")
    return provider.source(asked)


def _mapping(mapped: list[str] | None) -> dict[str, str]:
    pairs = [each.partition("=") for each in mapped or []]
    for name, equals, column in pairs:
        if not (name and equals and column):
            raise typer.BadParameter(f"{name + equals + column!r} is not FIELD=COLUMN", param_hint="--map")
    return {name: column for name, _, column in pairs}


def _say(ingested: Ingested, *, as_json: bool, ignored: Sequence[str] = ()) -> None:
    from mlops.sources.ingested import IN_THE_FUTURE

    if as_json:
        newest = ingested.newest.isoformat() if ingested.newest else None
        more = {"reasons": dict(ingested.reasons), "newest": newest, "ignored": list(ignored)}
        typer.echo(json.dumps({"ingest_id": ingested.ingest_id, **ingested.counts, **more}))
        return
    for reason, n in ingested.reasons.items():
        typer.echo(f"rejected {n}: {reason}")
    if ingested.rejected:
        typer.echo(f"Rejected rows with line and reason: market.rejects, ingest_id {ingested.ingest_id}")
    if IN_THE_FUTURE.intersection(ingested.reasons):
        typer.echo(
            "What is in the future was not kept. Ingest it again when it is known, or put the file into the inbox, "
            "where it waits."
        )
    if ignored:
        names = ", ".join(printable(cut(name, 40)) for name in ignored[:_SHOWN])
        others = f" and {len(ignored) - _SHOWN} more" if len(ignored) > _SHOWN else ""
        typer.echo(f"Columns that were not read: {names}{others}")
    if ingested.newest is not None:
        day = ingested.newest.astimezone(UTC)
        typer.echo(f"The newest bar is known at {day:%Y-%m-%d %H:%M} UTC; as of then: --as-of {day:%Y-%m-%d}")
    counts = ingested.counts
    parts = ", ".join(f"{counts[name]} {name}" for name in ("new", "changed", "unchanged", "rejected"))
    typer.echo(f"{ingested.read} read: {parts}")


COMMAND = Command("ingest", 20, ingest_app)
