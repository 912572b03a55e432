"""`forecastle models`: what is registered."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlops.cli.connect import open_warehouse
from mlops.cli.options import AsJson, DatabaseUrl
from mlops.cli.plain import plain
from mlops.domain import ModelVersion
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
        typer.echo("No version is registered. Train one: `forecastle train specs/gbm_d1.toml`.")
        return
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE)
    for heading in ("version", "stage", "as of", "skill of MAE on the test part"):
        table.add_column(heading)
    for version in versions:
        table.add_row(
            plain(version.name),
            plain(", ".join(version.aliases) or "-"),
            f"{version.as_of:%Y-%m-%d}",
            _skills(version),
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
        "stage": ", ".join(version.aliases) or "-",
        "family": version.family,
        "timeframe": version.timeframe,
        "horizons": ", ".join(map(str, version.horizons)),
        "trained as of": version.as_of,
        "data": f"{version.data_from} to {version.data_to}",
        "fingerprint": version.data_fingerprint,
        "features": f"{len(version.features)}, version {version.feature_set_version}",
        "validation": f"from {version.split['validation_open_from']}",
        "test": f"from {version.split['test_open_from']} to {version.split['test_to']}",
        "embargo": f"{version.split['embargo']} dates",
        "seed": version.seed,
        "hyperparameters": ", ".join(f"{name}={value}" for name, value in version.hyperparameters.items()),
        "packages": ", ".join(f"{name} {value}" for name, value in version.packages.items()),
        "code": version.code_revision,
        "parity": f"{version.parity_max_abs_diff:.1e}",
        "artifact": f"SHA-256 {version.sha256}, {version.size_bytes or 0:,} bytes",
    }
    width = max(map(len, facts))
    for name, value in facts.items():
        typer.echo(f"{name:<{width}}  {printable(str(value))}")
    from mlops.cli.train import show_metrics

    show_metrics(version.metrics)


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


def _skills(version: Version) -> str:
    entries = version.metrics["test"].items()
    return " ".join(
        f"h{horizon} " + ("-" if entry["mae"]["skill"] is None else f"{entry['mae']['skill']:+.1%}")
        for horizon, entry in entries
    )


def _as_data(version: Version) -> dict[str, Any]:
    data = asdict(version)
    del data["name"]
    return {"model": version.name.model, "version": version.name.version, **data}
