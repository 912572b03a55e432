"""One server for the whole run, one migrated template, one database a test."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import database, freeze
from server_for_tests import shared_server

from mlops.features import build
from mlops.sources import SampleSource, ingest_bars
from mlops.warehouse.databases import beside
from mlops.warehouse.engine import Warehouse
from mlops.warehouse.migrate import migrate, set_database_defaults

REPOSITORY = Path(__file__).parents[1]

LONG = (
    "test_demo", "test_widening", "test_dbt_project", "test_kills", "test_checks", "test_train_job",
    "test_features_incremental", "test_daemon_process", "test_builds_and_readers", "test_own_server",
    "test_embedded_commands", "test_checks_fx",
)  # fmt: skip
"""The files that take minutes, and few tests to do so. They come first: one that came last would keep one worker busy
while the other has nothing left to do."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of LONG first; the others stay in their order."""
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


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


@pytest.fixture(scope="session")
def template(server_url: str) -> Iterator[str]:
    """Name of a migrated database that nobody may connect to, to be cloned."""
    with database(server_url, "template0") as name:  # TimescaleDB's scheduler looks into template1
        with Warehouse(beside(server_url, name)) as warehouse:
            migrate(warehouse)
        freeze(server_url, name)
        yield name


@pytest.fixture(scope="session")
def featured_template(server_url: str, template: str) -> Iterator[str]:
    """Name of a database with the sample's bars, built features and labels, and the analyst's views, to be cloned."""
    with database(server_url, template) as name:
        with Warehouse(beside(server_url, name)) as warehouse:
            ingest_bars(warehouse, SampleSource())
            build(warehouse)
        freeze(server_url, name)
        yield name


@pytest.fixture
def database_name() -> str | None:
    """The name of the test's database; None: one that no other has. A file whose tests need one name overrides it."""
    return None


@pytest.fixture
def database_url(server_url: str, template: str, database_name: str | None) -> Iterator[str]:
    """URL of an empty, migrated database of the test's own."""
    with database(server_url, template, database_name) as name:
        yield beside(server_url, name)


@pytest.fixture
def warehouse(database_url: str) -> Iterator[Warehouse]:
    """The test's database, empty and migrated."""
    with Warehouse(database_url) as warehouse:
        with warehouse.begin(role=None) as connection:
            set_database_defaults(connection)
        yield warehouse


@pytest.fixture
def featured(server_url: str, featured_template: str, database_name: str | None) -> Iterator[Warehouse]:
    """A database of the test's own with the sample's bars (12,154 of five stocks), features, labels and views."""
    with (
        database(server_url, featured_template, database_name) as name,
        Warehouse(beside(server_url, name)) as warehouse,
    ):
        with warehouse.begin(role=None) as connection:
            set_database_defaults(connection)
        yield warehouse
