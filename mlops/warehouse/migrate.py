"""Bring a database up to date: what the login may do, Alembic's steps, functions, rights, the database's settings."""

from __future__ import annotations

from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from mlops.exceptions import NotMigratedError
from mlops.warehouse.engine import Warehouse
from mlops.warehouse.queries import sql
from mlops.warehouse.rights import set_rights
from mlops.warehouse.standing import prepare

_SEARCH_PATH = "search_path=analytics, public"
_CHECK_CLIENTS = "client_connection_check_interval=2s"
_INVALID_VALUE = "22023"  # for any value but 0, where the system cannot detect that a client is gone


def migrate(warehouse: Warehouse) -> str:
    """Run all migrations that the database lacks, in one transaction, and return the revision it is at.

    Two at once wait for each other. Raises WarehouseError where TimescaleDB is missing, or where the login lacks what a
    migration takes, with the statement that an administrator has to run.
    """
    with warehouse.begin(role=None) as connection:
        _one_at_a_time(connection)
        sequences: list[int] = connection.execute(sql("warehouse", "sequences")).scalar_one()
        prepare(connection)
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        for function in sorted(files("migrations.functions").iterdir(), key=lambda entry: entry.name):
            if function.name.endswith(".sql"):
                # Without parameters, so that a % in a function stays one.
                statements = function.read_text(encoding="utf-8")
                connection.exec_driver_sql(statements, execution_options={"no_parameters": True})
        set_rights(connection)
        set_database_defaults(connection)
        connection.execute(sql("warehouse", "log_sequences"), {"before": sequences})
        return _revision(connection) or ""


def set_database_defaults(connection: Connection) -> None:
    """Give the database what each of its sessions begins with; only its owner may.

    The search path begins with analytics, so that `SELECT * FROM ml_forecasts` works as it stands. A session whose
    client was killed ends within seconds, even where it waits for a lock and others wait behind it; a server on a
    system that cannot detect this does without. The settings belong to the database and are not copied when it serves
    as a template.
    """
    there: set[str] = set(connection.execute(sql("warehouse", "database_defaults")).scalars())
    if {_SEARCH_PATH, _CHECK_CLIENTS} <= there:
        return
    database = connection.dialect.identifier_preparer.quote(connection.engine.url.database or "")
    connection.exec_driver_sql(f"ALTER DATABASE {database} SET {_SEARCH_PATH}")
    name, _, value = _CHECK_CLIENTS.partition("=")
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(f"ALTER DATABASE {database} SET {name} = '{value}'")
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _INVALID_VALUE:
            raise


def current_revision(warehouse: Warehouse) -> str | None:
    """Return the revision that the database is at, None where it has never been migrated."""
    with warehouse.begin(role=None) as connection:
        return _revision(connection)


def newest_revision() -> str:
    """Return the revision that this version of Forecastle works with."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def require_current(warehouse: Warehouse) -> None:
    """Raise NotMigratedError unless the database is at the newest revision that this version knows."""
    revision = current_revision(warehouse)
    head = newest_revision()
    if revision != head:
        raise NotMigratedError(f"The database is at revision {revision}, not {head}. Run `forecastle db migrate`.")


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection, opts={"version_table_schema": "public"}).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("migrations")))
    return config


def _one_at_a_time(connection: Connection) -> None:
    """Wait for another migration of this database to end, then keep others waiting until this one does.

    What only owners may lock serves as the lock, once it is there. A bare database has nothing but an advisory lock.
    """
    if connection.execute(text("SELECT to_regclass('public.alembic_version')")).scalar_one() is None:
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('forecastle:migrate', 0))"))
    if connection.execute(text("SELECT to_regclass('public.alembic_version')")).scalar_one() is not None:
        connection.execute(text("LOCK TABLE public.alembic_version IN EXCLUSIVE MODE"))
