"""Databases of a test's own: made from a template, dropped at the end."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from alembic import command
from sqlalchemy import create_engine, text

from mlops.warehouse.databases import beside
from mlops.warehouse.engine import Warehouse, parse_url
from mlops.warehouse.migrate import _config


@contextmanager
def database(server_url: str, template: str, name: str | None = None) -> Iterator[str]:
    """Make a database of that name, or of one that no other has, and drop it at the end."""
    name = name or f"test_{uuid.uuid4().hex[:12]}"
    administer(server_url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    try:
        yield name
    finally:
        administer(server_url, f"DROP DATABASE {name} WITH (FORCE)")


def freeze(server_url: str, name: str) -> None:
    """Let nobody connect any more, TimescaleDB's own worker included: what is connected to cannot be cloned."""
    with Warehouse(beside(server_url, name)) as warehouse, warehouse.begin(role=None) as connection:
        connection.execute(text("SELECT _timescaledb_functions.stop_background_workers()"))
    administer(server_url, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")


def administer(server_url: str, *statements: str) -> None:
    engine = create_engine(parse_url(server_url), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def take_back(warehouse: Warehouse, revision: str) -> None:
    """Bring a migrated database back to what it was at an earlier revision."""
    with warehouse.begin(role=None) as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.downgrade(config, revision)
