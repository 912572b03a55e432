"""Logins of the embedded server: each has what its role has, no way to more, and none to do others harm."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from server_for_tests import fast_server, open_folder

from mlops.domain import Role
from mlops.embedded import EmbeddedServer, put_logins_right, role_url
from mlops.embedded.sizing import ANALYST_CONNECTIONS, RESERVED_CONNECTIONS
from mlops.exceptions import NotMigratedError
from mlops.features import build
from mlops.sources import SampleSource, ingest_bars
from mlops.warehouse import Warehouse
from mlops.warehouse.databases import beside, ensure_database
from mlops.warehouse.migrate import migrate

OTHER = "forecastle_demo"
"""Another database, made and migrated as the demo does."""

CONNECTIONS = 60


@pytest.fixture(scope="module")
def bare() -> Iterator[EmbeddedServer]:
    with open_folder("logins") as folder:
        server = fast_server(folder, max_connections=str(CONNECTIONS))
        server.up()
        yield server
        server.down()


@pytest.fixture(scope="module")
def server(bare: EmbeddedServer) -> EmbeddedServer:
    with pytest.raises(NotMigratedError, match="forecastle db migrate"):
        role_url(bare, Role.ANALYST)
    admin = bare.up().url
    for url in (admin, ensure_database(admin, OTHER)):
        with Warehouse(url) as warehouse:
            migrate(warehouse)
    return bare


@contextmanager
def analyst(server: EmbeddedServer, database: str | None = None) -> Iterator[psycopg.Connection]:
    """An analyst who has taken off all that it may take off by itself."""
    url = role_url(server, Role.ANALYST)
    with psycopg.connect(beside(url, database) if database else url, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute("SET statement_timeout = 0")
        connection.execute("SET ROLE none")
        yield connection


@contextmanager
def administrator(server: EmbeddedServer, database: str | None = None) -> Iterator[psycopg.Connection]:
    url = server.up().url
    with psycopg.connect(beside(url, database) if database else url, autocommit=True) as connection:
        yield connection


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
        "COPY (SELECT 1) TO '/tmp/x'",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('PG_VERSION')",
        "SELECT pg_ls_dir('.')",
        "SELECT * FROM pg_hba_file_rules",
        "CREATE ROLE mine",
        "SET ROLE forecastle_worker",
        "SET ROLE forecastle_owner",
        "SET ROLE forecastle_dbt",
        "SET ROLE forecastle",
        "SET SESSION AUTHORIZATION forecastle",
        "ALTER ROLE analyst SUPERUSER",
        "ALTER ROLE analyst CONNECTION LIMIT 1000",
        "ALTER ROLE forecastle PASSWORD 'x'",
        "GRANT forecastle_owner TO analyst",
        "ALTER DATABASE forecastle SET work_mem = '1MB'",
        "SET temp_file_limit = -1",
        "ALTER ROLE analyst SET temp_file_limit = -1",
        "ALTER ROLE analyst RESET temp_file_limit",
        "SET log_min_messages = debug1",
    ],
)
def test_the_analyst_can_neither_write_nor_become_more(server: EmbeddedServer, statement: str) -> None:
    with analyst(server) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


@pytest.mark.parametrize("database", [None, OTHER])
@pytest.mark.parametrize(
    "call",
    [
        "lo_create(0)",
        "lo_creat(-1)",
        "lo_from_bytea(0, 'x')",
        "lo_put(1, 0, 'x')",
        "lowrite(0, 'x')",
        "lo_truncate(0, 0)",
        "lo_unlink(1)",
        "lo_import('/etc/hostname')",
        "pg_export_snapshot()",
        "pg_logical_emit_message(false, 'x', 'y')",
        "pg_notify('x', 'y')",
        "pg_advisory_lock(1)",
        "pg_advisory_xact_lock_shared(1, 2)",
        "pg_try_advisory_lock(1)",
        "pg_terminate_backend(1)",
        "pg_cancel_backend(1)",
        "_timescaledb_functions.drop_chunk(1::regclass)",
        "_timescaledb_functions.remove_dropped_chunk_metadata(1)",
        "_timescaledb_functions.stop_background_workers()",
        "add_job('pg_sleep', '1h')",
        "alter_job(1, scheduled => false)",
        "delete_job(1)",
    ],
)
def test_the_analyst_has_no_functions_that_harm(server: EmbeddedServer, database: str | None, call: str) -> None:
    with analyst(server, database) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(f"SELECT {call}")


def test_a_database_made_by_hand_is_closed_to_the_analyst_and_its_functions_to_all(server: EmbeddedServer) -> None:
    """PostgreSQL makes it from template1, and lets everybody enter it and make temporary tables there."""
    with administrator(server) as connection:
        connection.execute("CREATE DATABASE mine")
    with administrator(server, "mine") as connection:
        for function in ("lo_create(oid)", "pg_export_snapshot()", "pg_notify(text, text)"):
            may = connection.execute("SELECT has_function_privilege('analyst', %s, 'EXECUTE')", (function,)).fetchone()
            assert may == (False,)
    put_logins_right(server)
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(beside(role_url(server, Role.ANALYST), "mine"))


@pytest.mark.parametrize("database", ["postgres", "template1"])
def test_the_analyst_enters_no_other_database(server: EmbeddedServer, database: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(role_url(server, Role.ANALYST), dbname=database)


def test_chunks_are_safe_from_whoever_knows_their_numbers(server: EmbeddedServer) -> None:
    """TimescaleDB's drop_chunk does not ask whose the table is, and a chunk's number is for everybody to see."""
    with Warehouse(beside(server.up().url, OTHER)) as warehouse:
        ingest_bars(warehouse, SampleSource())
        build(warehouse)
    with administrator(server, OTHER) as connection:
        before = connection.execute("SELECT count(*) FROM market.bars").fetchone()
    with analyst(server, OTHER) as connection:
        chunks = connection.execute("SELECT oid FROM pg_class WHERE relname LIKE '\\_hyper\\_%chunk'").fetchall()
        assert len(chunks) > 10
        for (chunk,) in chunks:
            for function in ("_timescaledb_functions.drop_chunk", "public.drop_chunks"):
                with pytest.raises(psycopg.Error):
                    connection.execute(f"SELECT {function}({chunk}::regclass)")
        # And reads what it is to read, with what TimescaleDB has for reading.
        weeks = "SELECT count(DISTINCT time_bucket('7 days', ts)) FROM feature_history"
        assert connection.execute(weeks).fetchone() != (0,)
    with administrator(server, OTHER) as connection:
        assert connection.execute("SELECT count(*) FROM market.bars").fetchone() == before


def test_rights_on_what_is_yet_to_come_are_given_back(server: EmbeddedServer) -> None:
    """Any member of a role may throw away its rights; those on tables yet to come are really gone then."""
    with analyst(server) as connection:
        connection.execute("DROP OWNED BY forecastle_analyst")
    with psycopg.connect(role_url(server, Role.WORKER)) as connection:
        connection.execute("SET LOCAL ROLE forecastle_dbt")
        connection.execute("CREATE VIEW analytics.two AS SELECT 2 AS two")
    with Warehouse(server.up().url) as warehouse:
        migrate(warehouse)
    with psycopg.connect(role_url(server, Role.WORKER)) as connection:
        connection.execute("SET LOCAL ROLE forecastle_dbt")
        connection.execute("CREATE VIEW analytics.three AS SELECT 3 AS three")
    with psycopg.connect(role_url(server, Role.ANALYST)) as connection:
        assert connection.execute("SELECT two, three FROM two, three").fetchone() == (2, 3)


@pytest.mark.parametrize("put_right", ["by asking for the URL", "by db up"])
def test_what_the_analyst_changes_of_its_own_login_is_put_back(server: EmbeddedServer, put_right: str) -> None:
    url = role_url(server, Role.ANALYST)
    with psycopg.connect(url) as connection:
        before = settings(connection)
    with analyst(server) as connection:
        connection.execute("ALTER ROLE analyst PASSWORD 'mine'")
        connection.execute("ALTER ROLE analyst SET search_path = nowhere")
        connection.execute("ALTER ROLE analyst SET statement_timeout = '1ms'")
        connection.execute("ALTER ROLE analyst SET default_transaction_read_only = off")
        connection.execute("ALTER ROLE analyst IN DATABASE forecastle SET search_path = nowhere")
        connection.execute("ALTER ROLE analyst IN DATABASE forecastle SET role = 'none'")
        connection.execute("ALTER ROLE analyst IN DATABASE forecastle_demo SET work_mem = '64kB'")
        connection.execute("ALTER ROLE analyst SET local_preload_libraries = 'absent'")  # nobody gets in any more
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    if put_right == "by db up":
        put_logins_right(server)
    else:
        assert role_url(server, Role.ANALYST) == url
    with psycopg.connect(url) as connection:
        assert settings(connection) == before
    with psycopg.connect(beside(url, OTHER)) as connection:
        assert settings(connection) == before


def settings(connection: psycopg.Connection) -> list[tuple[str, str]]:
    return connection.execute(
        "SELECT name, setting FROM pg_settings WHERE source <> 'client' AND source <> 'session'"
    ).fetchall()


def test_a_login_of_ones_own_as_the_page_has_it(server: EmbeddedServer) -> None:
    page = (Path(__file__).parents[2] / "docs" / "explanation" / "what-analysts-can-do.md").read_text(encoding="utf-8")
    (statements,) = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    role_url(server, Role.ANALYST)
    with administrator(server) as connection:
        connection.execute(statements)
    own = make_conninfo(server.up().url, user="ann", password="secret")  # noqa: S106
    with psycopg.connect(own, autocommit=True) as connection:
        assert connection.execute("SHOW temp_file_limit").fetchone() == ("1GB",)
        assert connection.execute("SELECT current_user").fetchone() == ("ann",)
        for statement in ("SET log_min_messages = debug1", "ALTER ROLE analyst PASSWORD 'x'", "SET ROLE analyst"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_the_analysts_sessions_are_bounded(server: EmbeddedServer) -> None:
    with psycopg.connect(role_url(server, Role.ANALYST)) as connection:
        found = dict(connection.execute("SELECT name, setting FROM pg_settings").fetchall())
    assert found["statement_timeout"] == "900000"
    assert found["idle_in_transaction_session_timeout"] == "300000"
    assert found["default_transaction_read_only"] == "on"
    assert 16 * 1024 <= int(found["temp_file_limit"]) <= 1024 * 1024  # kB
    if "max_notify_queue_pages" in found:  # from PostgreSQL 17 on: NOTIFY asks for no right
        assert found["max_notify_queue_pages"] == "64"


def test_an_analysts_errors_do_not_fill_the_servers_log(server: EmbeddedServer) -> None:
    with analyst(server) as connection:
        for statement in ("SELECT 1 / 0 AS for_the_log", "DO $$ BEGIN RAISE LOG 'for_the_log'; END $$"):
            try:
                connection.execute(statement)
            except psycopg.errors.DivisionByZero:
                continue
    with administrator(server) as connection, pytest.raises(psycopg.errors.DivisionByZero):
        connection.execute("SELECT 1 / 0 AS of_the_administrator")
    said = server.account.read(server.place.log) or ""
    assert "of_the_administrator" in said
    assert "for_the_log" not in said


def test_jobs_and_the_administrator_get_in_when_analysts_take_all_connections(server: EmbeddedServer) -> None:
    with administrator(server) as connection:
        connection.execute("CREATE ROLE many LOGIN PASSWORD 'many' IN ROLE forecastle_analyst")
    worker, url = role_url(server, Role.WORKER), role_url(server, Role.ANALYST)
    with ExitStack() as taken:
        for _ in range(ANALYST_CONNECTIONS):
            taken.enter_context(psycopg.connect(url))
        with pytest.raises(psycopg.OperationalError, match="too many connections for role"):
            psycopg.connect(url)
        with pytest.raises(psycopg.OperationalError, match="reserved"):
            for _ in range(CONNECTIONS):
                taken.enter_context(psycopg.connect(make_conninfo(url, user="many", password="many")))  # noqa: S106
        for _ in range(RESERVED_CONNECTIONS - 1):
            taken.enter_context(psycopg.connect(worker))
        with psycopg.connect(server.up().url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
