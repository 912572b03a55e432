"""One server for the whole run, one migrated template, one database a test."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from server_for_tests import shared_server
from sqlalchemy import create_engine, text

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
    name = f"template_{uuid.uuid4().hex[:12]}"
    _admin(server_url, f"CREATE DATABASE {name}")
    with Warehouse(str(parse_url(server_url).set(database=name).render_as_string(hide_password=False))) as warehouse:
        migrate(warehouse)
        with warehouse.begin(role=None) as connection:
            connection.execute(text("SELECT _timescaledb_functions.stop_background_workers()"))
    _admin(server_url, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    yield name
    _admin(server_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database_url(server_url: str, template: str) -> Iterator[str]:
    """URL of an empty, migrated database of the test's own."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    _admin(server_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    url = parse_url(server_url).set(database=name, drivername="postgresql").render_as_string(hide_password=False)
    yield url
    _admin(server_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def warehouse(database_url: str) -> Iterator[Warehouse]:
    """The test's database."""
    with Warehouse(database_url) as warehouse:
        with warehouse.begin(role=None) as connection:
            set_search_path(connection)
        yield warehouse
