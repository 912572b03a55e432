"""`forecastle models`: what is registered."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlops.cli.command import Command
from mlops.cli.connect import open_warehouse
from mlops.cli.options import AsJson, DatabaseUrl
from mlops.cli.plain import plain
from mlops.domain import ModelVersion, Role
from mlops.exceptions import RegistryError
from mlops.printable import printable

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from mlops.registry import Version

models_app = typer.Typer(name="models", help="The registry: what is trained, and how good it is.", no_args_is_help=True)

Model = Annotated[str | None, typer.Argument(metavar="[MODEL]", help="The model; not needed where there is only one.")]
Number = Annotated[
    int | None, typer.Option("--version", metavar="N", min=1, help="Its version; the one in production without this.")
]


@models_app.command("list")
def list_models(
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="Only this model.")] = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """List the versions, the newest of each model first, with their skill over the naive forecast on the test part."""
    from mlops.registry import list_versions

    with open_warehouse(database_url) as warehouse, warehouse.begin() as connection:
        versions = list_versions(connection, model)
        if model is not None and not versions:
            there_are = sorted({version.name.model for version in list_versions(connection)})
            raise RegistryError(f"There is no model {model!r}; there is {', '.join(there_are) or 'none yet'}.")
    if as_json:
        typer.echo(json.dumps([_as_data(version) for version in versions], default=str))
        return
    if not versions:
        typer.echo("No version is registered. Train one: `forecastle train stocks_d1/gbm`.")
        return
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    for name, of_model in groupby(versions, key=lambda version: version.name.model):
        listed = list(of_model)
        horizons = sorted({horizon for version in listed for horizon in version.horizons})
        title = f"{plain(name)}: skill of MAE on the test part, %"
        table = Table(box=SIMPLE, padding=(0, 1, 0, 0), title=title, title_justify="left")
        table.add_column("v", justify="right")
        for heading in ("candidate", "label", "stage", "as of"):
            table.add_column(heading)
        for horizon in horizons:
            table.add_column(f"h{horizon}", justify="right", no_wrap=True)
        for version in listed:
            table.add_row(
                str(version.name.version),
                plain(version.candidate),
                version.label,
                plain(", ".join(version.aliases) or "-"),
                f"{version.as_of:%Y-%m-%d}",
                *(_points(_skill(version, horizon)) for horizon in horizons),
            )
        Console().print(table)


@models_app.command("show")
def show_model(
    model: Model = None, number: Number = None, database_url: DatabaseUrl = None, as_json: AsJson = False
) -> None:
    """Show all that is known of a version: data, split, settings, packages, metrics beside naive."""
    from mlops.registry import show

    with open_warehouse(database_url) as warehouse, warehouse.begin() as connection:
        version = show(connection, _chosen(connection, model, number))
    if as_json:
        typer.echo(json.dumps(_as_data(version), default=str))
        return
    facts = {
        "version": str(version.name),
        "candidate": version.candidate,
        "label": version.label,
        "stage": ", ".join(version.aliases) or "-",
        "family": version.family,
        "timeframe": version.timeframe,
        "horizons": ", ".join(map(str, version.horizons)),
        "trained as of": version.as_of,
        "data": f"{version.data_from} to {version.data_to}",
        "symbols": "not recorded" if version.n_symbols is None else version.n_symbols,
        "fingerprint": version.data_fingerprint,
        "features": f"{len(version.features)}, version {version.feature_set_version}",
        "labels": f"{version.label_set}, version {version.label_set_version}",
        "up or down": f"beyond {', '.join(f'{100 * each:.3g}' for each in version.thresholds)} %",
        "validation": f"from {version.split['validation_open_from']}",
        "test": f"from {version.split['test_open_from']} to {version.split['test_to']}",
        "embargo": f"{version.split['embargo']} dates",
        "seed": version.seed,
        "hyperparameters": ", ".join(f"{name}={value}" for name, value in version.hyperparameters.items()),
        "packages": ", ".join(f"{name} {value}" for name, value in version.packages.items()),
        "specification": f"SHA-256 {version.spec_sha256}",
        "code": version.code_revision,
        "parity": f"{version.parity_max_abs_diff:.1e}",
        "artifact": f"SHA-256 {version.sha256}, {version.size_bytes or 0:,} bytes",
    }
    width = max(map(len, facts))
    for name, value in facts.items():
        typer.echo(f"{name:<{width}}  {printable(str(value))}")
    from mlops.cli.train import show_metrics

    show_metrics(version.metrics)


@models_app.command("compare")
def compare_models(
    model: Model = None,
    versions: Annotated[
        list[int] | None,
        typer.Option(
            "--version", metavar="N", min=1, help="A version; several times. All that forecast, without this."
        ),
    ] = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show versions of a model side by side: skill over naive on the test part, and of what has come since.

    `test MAE` and `test dir` are skills on the test part, of the median and of the direction. The rest is over the n
    forecasts that all of the versions made and whose horizon has passed, so that each is held against the same
    outcomes: `MAE` is the skill of the median, `right` the share of right directions and `band` that within p10 and
    p90, in percent.
    """
    from mlops.registry import compare

    with open_warehouse(database_url) as warehouse, warehouse.begin() as connection:
        compared = compare(connection, _chosen(connection, model, None).model if model is None else model, versions)
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in compared], default=str))
        return
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE, padding=(0, 1, 0, 0), title=_COMPARED, title_justify="left")
    for heading in ("bars", "v", "candidate", "stage"):
        table.add_column(heading, justify="right" if heading in {"bars", "v"} else "left")
    for heading in ("test MAE", "test dir", "n", "MAE", "right", "band"):
        table.add_column(heading, justify="right")
    for number, each in enumerate(compared):
        is_last = number + 1 == len(compared) or compared[number + 1].horizon != each.horizon
        table.add_row(
            str(each.horizon),
            str(each.version),
            plain(each.candidate),
            plain(", ".join(each.aliases) or "-"),
            _points(each.test_mae_skill),
            _points(each.test_accuracy_skill),
            f"{each.n_live:,}",
            _points(each.live_mae_skill),
            _share(each.live_accuracy),
            _share(each.live_coverage),
            end_section=is_last,
        )
    Console().print(table)


_COMPARED = "Skill over naive in %: on the test part, and of the same n live forecasts"


def _points(skill: float | None) -> str:
    return "-" if skill is None else f"{100 * skill:+.1f}"


def _share(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


@models_app.command("promote")
def promote_version(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The model.")],
    number: Annotated[int, typer.Option("--version", metavar="N", min=1, help="The version to put into production.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept beside who and when.")],
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Put a version into production: it makes the model's forecasts from the next run on.

    What was forecast stays. The login has to be a member of forecastle_approver, which that of the daemon is not.
    """
    from mlops.registry import promote

    name = ModelVersion(model, number)
    with open_warehouse(database_url) as warehouse, warehouse.begin(Role.APPROVER) as connection:
        replaced = promote(connection, name, reason)
    if as_json:
        typer.echo(json.dumps({"model": model, "version": number, "replaced": replaced and replaced.version}))
        return
    took = f" in place of v{replaced.version}; `forecastle models rollback {model}` takes that back" if replaced else ""
    typer.echo(f"{name} is in production{took}.")


@models_app.command("rollback")
def roll_back(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The model.")],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept beside who and when.")
    ] = "Taken back.",
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Put the version back into production that was there before the present one; again, one further back."""
    from mlops.registry import rollback

    with open_warehouse(database_url) as warehouse, warehouse.begin(Role.APPROVER) as connection:
        name = rollback(connection, model, reason)
    if as_json:
        typer.echo(json.dumps({"model": name.model, "version": name.version}))
        return
    typer.echo(f"{name} is in production again.")


@models_app.command("export")
def export_model(
    model: Model = None,
    number: Number = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to; MODEL-vN.onnx without this.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Write a version's ONNX file, its SHA-256 checked, to use it elsewhere."""
    from mlops.registry import load_artifact

    with open_warehouse(database_url) as warehouse, warehouse.begin() as connection:
        name = _chosen(connection, model, number)
        artifact = load_artifact(connection, name)
    target = output or Path(f"{name.model}-v{name.version}.onnx")
    if target.exists() and not force:
        raise RegistryError(f"{target} is there already. Name another file, or overwrite it with --force.")
    _write(target, artifact)
    typer.echo(f"Wrote {name} to {printable(str(target))} ({len(artifact):,} bytes).")


def _chosen(connection: Connection, model: str | None, number: int | None) -> ModelVersion:
    from mlops.registry import list_versions, production

    if number is None:
        return production(connection, model)
    if model is not None:
        return ModelVersion(model, number)
    names = sorted({version.name.model for version in list_versions(connection)})
    if len(names) != 1:
        raise RegistryError(f"Say which model: there is {', '.join(names) or 'none'}.")
    return ModelVersion(names[0], number)


def _write(target: Path, content: bytes) -> None:
    """Write all of `content` or leave what is there."""
    try:
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            Path(temporary).chmod(0o644)
            Path(temporary).replace(target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise RegistryError(f"{target} cannot be written: {error.strerror}.") from error


def _skill(version: Version, horizon: int) -> float | None:
    entry = version.metrics["test"].get(str(horizon))
    skill: float | None = entry["mae"]["skill"] if entry else None
    return skill


def _as_data(version: Version) -> dict[str, Any]:
    data = asdict(version)
    del data["name"]
    return {"model": version.name.model, "version": version.name.version, **data}


COMMAND = Command("models", 70, models_app)
