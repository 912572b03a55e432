"""`forecastle init`: a specification to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mlops.cli.command import Command
from mlops.cli.connect import open_warehouse
from mlops.cli.options import DatabaseUrl
from mlops.domain import DAILY
from mlops.exceptions import SpecError


def init(
    name: Annotated[str, typer.Argument(metavar="MODEL/CANDIDATE", help="What to call it, such as stocks_d1/mine.")],
    *,
    family: Annotated[str, typer.Option("--family", metavar="NAME", help="How it learns.")] = "hist_gradient_boosting",
    timeframe: Annotated[
        str, typer.Option("--timeframe", metavar="NAME", help="The bars that it looks at and forecasts.")
    ] = DAILY,
    feature_set: Annotated[
        str, typer.Option("--feature-set", metavar="NAME", help="The features that it reads.")
    ] = "technical",
    asset_class: Annotated[
        str | None, typer.Option("--asset-class", metavar="NAME", help="Which symbols it is for; all, unless said.")
    ] = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Write a specification to start from into specs/ of the current folder; nothing that is there is overwritten.

    It forecasts all horizons that the database has for the timeframe.
    """
    from mlops.training.specs import first_spec
    from mlops.warehouse.timeframes import read_timeframe

    with open_warehouse(database_url) as warehouse, warehouse.begin() as connection:
        horizons = read_timeframe(connection, timeframe).horizons
    text = first_spec(
        name,
        family_name=family,
        timeframe=timeframe,
        horizons=horizons,
        feature_set=feature_set,
        asset_class=asset_class,
    )
    file = Path("specs") / f"{name}.toml"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as new:
            new.write(text)
    except FileExistsError as error:
        raise SpecError(f"{file} is there already. Name another candidate, or change that file.") from error
    except OSError as error:
        raise SpecError(f"{file} cannot be written: {error.strerror}. Run it in a folder that is yours.") from error
    typer.echo(f"{file} is written. `forecastle train {name}` trains it; its first version waits in staging.")


COMMAND = Command("init", 50, init)
