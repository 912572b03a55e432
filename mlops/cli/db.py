"""`forecastle db`: the database under everything else."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from mlops.cli.command import Command
from mlops.cli.connect import named_url, open_warehouse, resolve_url, set_up, settings, shown_progress
from mlops.cli.options import AsJson, DatabaseUrl
from mlops.domain import Role
from mlops.exceptions import EmbeddedServerError, SettingsError, WarehouseError

db_app = typer.Typer(name="db", help="The database: start, stop, connect, migrate.", no_args_is_help=True)

Database = Annotated[
    str | None,
    typer.Option("--database", metavar="NAME", help="Another database of that server, such as forecastle_demo."),
]


class RoleName(StrEnum):
    """The roles, by the names of their logins."""

    OWNER = "owner"
    WORKER = "worker"
    ANALYST = "analyst"

    @property
    def role(self) -> Role:
        """The role itself."""
        return Role[self.name]


@db_app.command()
def up(database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Start the embedded TimescaleDB, fetching it at the first use, and bring its tables up to date."""
    _refuse_if_named(database_url, "start")
    from mlops.embedded import embedded_server, put_logins_right
    from mlops.warehouse import Warehouse

    server = embedded_server(settings())
    with shown_progress() as progress:
        started = server.up(progress)
        progress("Bringing the tables and views up to date", None)
        with Warehouse(started.url) as warehouse:
            revision = set_up(warehouse)
            port = warehouse.url.port
        put_logins_right(server, progress)
    if as_json:
        facts = {"url": started.url, "started": started.started, "created": started.created, "revision": revision}
        typer.echo(json.dumps(facts))
        return
    did = "was made and started" if started.created else "was started" if started.started else "is running already"
    typer.echo(
        f"The embedded TimescaleDB {did} on 127.0.0.1:{port}, tables at revision {revision}, data in "
        f"{server.place.data}. `forecastle db psql` connects."
    )
    _mention_folder_not_in_use()


@db_app.command()
def down(database_url: DatabaseUrl = None) -> None:
    """Stop the embedded TimescaleDB; its data stays."""
    _refuse_if_named(database_url, "stop")
    from mlops.embedded import embedded_server

    with shown_progress() as progress:
        stopped = embedded_server(settings()).down(progress)
    typer.echo("The embedded TimescaleDB was stopped." if stopped else "The embedded TimescaleDB is not running.")


@db_app.command()
def url(
    role: Annotated[
        RoleName | None, typer.Option("--role", help="Log in as this role; without it as the administrator.")
    ] = None,
    database: Database = None,
    dbt: Annotated[
        bool,
        typer.Option("--dbt", help="The environment that dbt_project wants, for eval; as the worker, unless said."),
    ] = False,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Print the URL of the database, with its password, for other programs."""
    if dbt and role is None and not named_url(database_url):
        role = RoleName.WORKER
    answer = _named(resolve_url(database_url) if role is None else _role_url(role, database_url), database)
    if dbt:
        from mlops.features import profile_environment
        from mlops.warehouse.engine import parse_url

        variables = profile_environment(parse_url(answer))
        exports = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())
        typer.echo(json.dumps(variables) if as_json else exports)
        return
    typer.echo(json.dumps({"url": answer}) if as_json else answer)


@db_app.command()
def status(database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Say where the database is, whether it answers and is up to date, and what is in it; nothing is started."""
    from mlops.embedded import embedded_server
    from mlops.warehouse import Warehouse
    from mlops.warehouse.overview import overview

    url = named_url(database_url) or _running_url()
    if url is None:
        where = embedded_server(settings()).folder
        stopped = f"The embedded TimescaleDB is not running; its folder is {where}. `forecastle db up` starts it."
        typer.echo(json.dumps({"running": False, "folder": str(where)}) if as_json else stopped)
        _mention_folder_not_in_use()
        return
    with Warehouse(url) as warehouse:
        found = overview(warehouse)
        server = f"{warehouse.url.host or 'localhost'}:{warehouse.url.port or 5432}"
        name = warehouse.url.database
    facts = {"running": True, "server": server, "database": name, **asdict(found)}
    if as_json:
        typer.echo(json.dumps(facts, default=str))
        return
    typer.echo(
        f"Database {name} at {server}"
        + (f": PostgreSQL {found.postgresql}, " if found.postgresql else "")
        + (f"TimescaleDB {found.timescaledb}" if found.timescaledb else "")
    )
    if found.revision != found.newest_revision:
        at = "has no tables of Forecastle" if found.revision is None else f"is at revision {found.revision}"
        typer.echo(f"It {at}; the newest is {found.newest_revision}. `forecastle db migrate` brings it up to date.")
        return
    newest = "none yet" if found.newest_bar is None else f"the newest opens at {found.newest_bar:%Y-%m-%d %H:%M} UTC"
    size = (found.size_bytes or 0) / 2**20
    typer.echo(f"Tables: revision {found.revision}, the newest; {size:,.0f} MiB on disk.")
    typer.echo(f"Bars: about {found.bars:,} of {found.symbols:,} symbols; {newest}.")
    typer.echo(f"In production: {', '.join(found.production or ()) or 'nothing yet'}.")
    if named_url(database_url) is None:
        _mention_folder_not_in_use()


@db_app.command()
def migrate(database_url: DatabaseUrl = None) -> None:
    """Bring the tables up to date, and make the views where there are none yet."""
    from mlops.warehouse import Warehouse
    from mlops.warehouse.rights import open_to_public

    with Warehouse(resolve_url(database_url)) as warehouse:
        revision = set_up(warehouse)
        left_open = open_to_public(warehouse)
    typer.echo(f"The tables are at revision {revision}.")
    if left_open:
        worst = next((routine for routine in left_open if "drop_chunk" in routine), left_open[0])
        typer.echo(
            f"note: everybody who may enter the database can call {len(left_open)} functions that do harm, such as "
            f"{worst}. Only a superuser can take them away: run `forecastle db migrate` once as one.",
            err=True,
        )


@db_app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def psql(
    context: typer.Context,
    role: Annotated[
        RoleName | None,
        typer.Option("--role", help="Log in as this role of the embedded database: the analyst, unless said."),
    ] = None,
    database: Database = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Open psql on the database; what follows `--` goes to psql: `forecastle db psql -- -c "SELECT 1"`."""
    named = named_url(database_url)
    target = named if named and role is None else _role_url(role or RoleName.ANALYST, database_url)
    _become_psql(_psql(), _named(target, database), context.args)


def _mention_folder_not_in_use() -> None:
    from mlops.embedded import folder_not_in_use

    other = folder_not_in_use(settings())
    if other is not None:
        typer.echo(
            f"note: {other} has the database of an earlier version, which is not used: {settings().home} has one, too. "
            f"Delete the folder, or work on it with FORECASTLE_HOME={other}.",
            err=True,
        )


def _running_url() -> str | None:
    """Return the URL of the embedded server as its administrator; None where it does not run."""
    from mlops.embedded import embedded_server

    server = embedded_server(settings())
    return server.up().url if server.is_running() else None


def _named(url: str, database: str | None) -> str:
    if database is None:
        return url
    from mlops.warehouse.databases import beside

    return beside(url, database)


def _role_url(role: RoleName, database_url: str | None) -> str:
    if named_url(database_url):
        raise SettingsError(
            "Roles have logins on the embedded database only. On your own server put the login into the URL: "
            f"`CREATE ROLE me LOGIN PASSWORD '...' IN ROLE {role.role.value}`."
        )
    from mlops.embedded import embedded_server, role_url

    open_warehouse(None).close()
    with shown_progress() as progress:
        return role_url(embedded_server(settings()), role.role, progress)


def _refuse_if_named(database_url: str | None, verb: str) -> None:
    if named_url(database_url):
        raise WarehouseError(
            f"The server in --database-url or FORECASTLE_DATABASE_URL is not ours to {verb}. "
            f"Leave the URL out to {verb} the embedded one."
        )


def _psql() -> Path:
    from mlops.embedded import embedded_server
    from mlops.embedded.private_copy import private_copy

    server = embedded_server(settings())
    private = private_copy(server.home.resolve(), server.account)
    found = private.path("psql") if private else shutil.which("psql")
    if found is None:
        raise EmbeddedServerError("psql is not installed. Debian has it in the package postgresql-client.")
    return Path(found)


def _become_psql(program: Path, url: str, arguments: list[str]) -> NoReturn:
    """Let psql take the place of this process. The password goes by the environment: arguments are for all to see."""
    from mlops.warehouse.engine import parse_url

    parsed = parse_url(url)
    environment = dict(os.environ)
    if parsed.password is not None:
        environment["PGPASSWORD"] = str(parsed.password)
        parsed = parsed._replace(password=None)
    plain = parsed.set(drivername="postgresql").render_as_string(hide_password=False)
    os.execve(program, [str(program), *arguments, "--dbname", plain], environment)  # noqa: S606


COMMAND = Command("db", 10, db_app)
