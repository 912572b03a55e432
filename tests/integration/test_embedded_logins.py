"""Logins of the embedded server: each has what its role has, and no way to more."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from server_for_tests import PREFIX, fast_server, remove

from mlops.domain import Role
from mlops.exceptions import NotMigratedError
from mlops.warehouse import Warehouse
from mlops.warehouse.embedded import EmbeddedServer, role_url
from mlops.warehouse.migrate import migrate


@pytest.fixture(scope="module")
def bare() -> Iterator[EmbeddedServer]:
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}logins-"))
    folder.chmod(0o755)
    server = fast_server(folder)
    try:
        server.up()
        yield server
    finally:
        remove(server) if folder.exists() else shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def server(bare: EmbeddedServer) -> EmbeddedServer:
    with pytest.raises(NotMigratedError, match="forecastle db migrate"):
        role_url(bare, Role.ANALYST)
    with Warehouse(bare.up().url) as warehouse:
        migrate(warehouse)
    return bare


@pytest.mark.parametrize("role", [Role.OWNER, Role.WORKER, Role.ANALYST])
def test_a_login_acts_as_its_role(server: EmbeddedServer, role: Role) -> None:
    assert role_url(server, role) == role_url(server, role)
    with psycopg.connect(role_url(server, role)) as connection:
        assert connection.execute("SELECT current_user, session_user").fetchone() == (role.value, role.name.lower())
        assert connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = session_user").fetchone() == (False,)


def test_what_the_owner_makes_belongs_to_the_role(server: EmbeddedServer) -> None:
    with psycopg.connect(role_url(server, Role.OWNER)) as connection:
        connection.execute("CREATE TABLE market.one AS SELECT 1 AS one")
        found = connection.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'one'").fetchone()
    assert found == ("forecastle_owner",)


def test_the_worker_makes_what_people_read_in_dbts_name(server: EmbeddedServer) -> None:
    with psycopg.connect(role_url(server, Role.WORKER)) as connection:
        connection.execute("SET LOCAL ROLE forecastle_dbt")
        connection.execute("CREATE VIEW analytics.one AS SELECT 1 AS one")
    with psycopg.connect(role_url(server, Role.ANALYST)) as connection:
        assert connection.execute("SELECT one FROM one").fetchone() == (1,)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO market.symbols (ticker) VALUES ('X')",
        "SELECT * FROM market.symbols",
        "CREATE TABLE analytics.mine (i int)",
        "CREATE TABLE public.mine (i int)",
        "CREATE TEMPORARY TABLE mine (i int)",
        "CREATE SCHEMA mine",
        "SELECT lo_create(0)",
        "SELECT lo_from_bytea(0, 'x')",
        "COPY (SELECT 1) TO '/tmp/x'",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('PG_VERSION')",
        "SELECT _timescaledb_functions.stop_background_workers()",
        "CREATE ROLE mine",
        "SET ROLE forecastle_worker",
        "SET ROLE forecastle_owner",
        "SET ROLE forecastle_dbt",
        "SET ROLE forecastle",
        "SET SESSION AUTHORIZATION forecastle",
        "ALTER ROLE analyst SUPERUSER",
        "ALTER ROLE forecastle PASSWORD 'x'",
        "GRANT forecastle_owner TO analyst",
        "ALTER DATABASE forecastle SET work_mem = '1MB'",
    ],
)
def test_the_analyst_can_neither_write_nor_become_more(server: EmbeddedServer, statement: str) -> None:
    with psycopg.connect(role_url(server, Role.ANALYST), autocommit=True) as connection:
        # All that it may take off by itself.
        connection.execute("SET default_transaction_read_only = off")
        connection.execute("RESET ROLE")
        connection.execute("SET ROLE none")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


@pytest.mark.parametrize("database", ["postgres", "template1"])
def test_the_analyst_enters_no_other_database(server: EmbeddedServer, database: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(role_url(server, Role.ANALYST), dbname=database)
