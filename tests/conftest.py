"""One server for the whole run, one migrated template, one database a test."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from server_for_tests import shared_server
from sqlalchemy import create_engine, text

from mlops.features import build
from mlops.sources import SampleSource, ingest_bars
from mlops.warehouse.databases import beside
from mlops.warehouse.engine import Warehouse, parse_url
from mlops.warehouse.migrate import migrate, set_search_path

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def server_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """URL of a server of our own, as its superuser. Never skipped: without a server the run fails.

    FORECASTLE_TEST_SERVER_URL names one that is running already, which saves the start.
    """
    given = os.environ.get("FORECASTLE_TEST_SERVER_URL")
    if given:
        yield given
        return
    worker = getattr(request.config, "workerinput", {})
    with shared_server(str(worker.get("testrunuid", uuid.uuid4().hex))[:12]) as url:
        yield url


def _admin(server_url: str, *statements: str) -> None:
    engine = create_engine(parse_url(server_url), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


@pytest.fixture(scope="session")
def template(server_url: str) -> Iterator[str]:
    """Name of a migrated database that nobody may connect to, to be cloned."""
    with _database(server_url, "template0") as name:  # TimescaleDB's scheduler looks into template1
        with Warehouse(beside(server_url, name)) as warehouse:
            migrate(warehouse)
        _freeze(server_url, name)
        yield name


@pytest.fixture(scope="session")
def featured_template(server_url: str, template: str) -> Iterator[str]:
    """Name of a database with the sample's bars, built features and labels, and the analyst's views, to be cloned."""
    with _database(server_url, template) as name:
        with Warehouse(beside(server_url, name)) as warehouse:
            ingest_bars(warehouse, SampleSource())
            build(warehouse)
        _freeze(server_url, name)
        yield name


@pytest.fixture
def database_url(server_url: str, template: str) -> Iterator[str]:
    """URL of an empty, migrated database of the test's own."""
    with _database(server_url, template) as name:
        yield beside(server_url, name)


@pytest.fixture
def warehouse(database_url: str) -> Iterator[Warehouse]:
    """The test's database, empty and migrated."""
    with Warehouse(database_url) as warehouse:
        with warehouse.begin(role=None) as connection:
            set_search_path(connection)
        yield warehouse


@pytest.fixture
def featured(server_url: str, featured_template: str) -> Iterator[Warehouse]:
    """A database of the test's own with the sample's bars (12,154 of five stocks), features, labels and views."""
    with _database(server_url, featured_template) as name, Warehouse(beside(server_url, name)) as warehouse:
        with warehouse.begin(role=None) as connection:
            set_search_path(connection)
        yield warehouse


@contextmanager
def _database(server_url: str, template: str) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    _admin(server_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield name
    finally:
        _admin(server_url, f"DROP DATABASE {name} WITH (FORCE)")


def _freeze(server_url: str, name: str) -> None:
    """Let nobody connect any more, TimescaleDB's own worker included: what is connected to cannot be cloned."""
    with Warehouse(beside(server_url, name)) as warehouse, warehouse.begin(role=None) as connection:
        connection.execute(text("SELECT _timescaledb_functions.stop_background_workers()"))
    _admin(server_url, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
