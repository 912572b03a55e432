"""Bring a database up to date: Alembic's steps, then the functions, then the search path."""

from __future__ import annotations

from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from mlops.exceptions import NotMigratedError, WarehouseError
from mlops.warehouse.engine import Warehouse, wait_for_lock


def migrate(warehouse: Warehouse) -> str:
    """Run all migrations that the database lacks, in one transaction, and return the revision it is at.

    Two at once wait for each other. Raises WarehouseError where TimescaleDB is missing.
    """
    with warehouse.begin(role=None) as connection:
        wait_for_lock(connection, "migrate")
        available = connection.execute(
            text("SELECT 1 FROM pg_available_extensions WHERE name = 'timescaledb'")
        ).scalar_one_or_none()
        if available is None:
            raise WarehouseError(
                f"{warehouse.url.host} has no TimescaleDB. Install the extension there, or leave out the URL to use "
                "the embedded one."
            )
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        for function in sorted(files("migrations.functions").iterdir(), key=lambda entry: entry.name):
            if function.name.endswith(".sql"):
                connection.exec_driver_sql(function.read_text(encoding="utf-8"))
        set_search_path(connection)
        return _revision(connection) or ""


def set_search_path(connection: Connection) -> None:
    """Let `SELECT * FROM ml_forecasts` work as it stands: the database's search path begins with analytics.

    The setting belongs to the database and is not copied when the database serves as a template.
    """
    database = connection.dialect.identifier_preparer.quote(connection.engine.url.database or "")
    connection.exec_driver_sql(f"ALTER DATABASE {database} SET search_path = analytics, public")


def require_current(warehouse: Warehouse) -> None:
    """Raise NotMigratedError unless the database is at the newest revision that this version knows."""
    with warehouse.begin(role=None) as connection:
        revision = _revision(connection)
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if revision != head:
        raise NotMigratedError(f"The database is at revision {revision}, not {head}. Run `forecastle db migrate`.")


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection, opts={"version_table_schema": "public"}).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("migrations")))
    return config
