"""Other databases of the same server."""

from __future__ import annotations

from sqlalchemy import create_engine, text

from mlops.warehouse.connecting import wait_for_server
from mlops.warehouse.engine import parse_url, translated_errors


def beside(url: str, database: str) -> str:
    """Return `url` with the name of its database changed to `database`, its password kept."""
    return parse_url(url).set(drivername="postgresql", database=database).render_as_string(hide_password=False)


def ensure_database(url: str, database: str) -> str:
    """Make `database` on the server of `url` where it is missing, and return its URL.

    Nobody else may enter it before its migrations say who. Raises WarehouseError where the login may not make one.
    """
    engine = wait_for_server(create_engine(parse_url(url), isolation_level="AUTOCOMMIT"))
    try:
        with translated_errors(engine.url), engine.connect() as connection:
            found = connection.execute(text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": database})
            if found.scalar_one_or_none() is None:
                quoted = connection.dialect.identifier_preparer.quote(database)
                connection.exec_driver_sql(f"CREATE DATABASE {quoted}")
                connection.exec_driver_sql(f"REVOKE ALL ON DATABASE {quoted} FROM PUBLIC")
    finally:
        engine.dispose()
    return beside(url, database)
