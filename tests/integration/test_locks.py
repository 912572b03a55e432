"""Who may take a lock, how long anybody waits for one, and what becomes of it when its holder ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from databases import administer
from sqlalchemy import text

from mlops.domain import Role
from mlops.exceptions import JobBusyError, LockTimeoutError, WarehouseError
from mlops.warehouse import Warehouse
from mlops.warehouse.bookkeeping import job_run
from mlops.warehouse.locks import take_lock

AS_OF = datetime(2017, 6, 30, 22, 30, tzinfo=UTC)
NAMES = ("job:daily", "job:forecast", "train:stocks_d1", "market.bars", "ml.predictions", "features.build", "migrate")


@contextmanager
def an_analyst(warehouse: Warehouse) -> Iterator[psycopg.Connection]:
    """A connection that acts as the analyst."""
    with psycopg.connect(warehouse.plain_url, autocommit=True) as connection:
        connection.execute("SET ROLE forecastle_analyst")
        yield connection


def test_an_analysts_advisory_locks_stop_no_job(warehouse: Warehouse) -> None:
    """The attack: all keys that a job could want, held for as long as the analyst likes.

    As on a server whose administrator has never migrated: only a superuser can take these functions from PUBLIC.
    """
    with warehouse.begin(role=None) as connection:
        connection.execute(text("GRANT EXECUTE ON FUNCTION pg_advisory_lock(bigint) TO PUBLIC"))
    with an_analyst(warehouse) as analyst:
        for name in NAMES:
            analyst.execute("SELECT pg_advisory_lock(hashtextextended('forecastle:' || %s, 0))", (name,))
        for name in NAMES:
            with warehouse.lock(name) as held:
                assert held
        with job_run(warehouse, "forecast", AS_OF):
            pass
        with warehouse.begin() as connection:
            take_lock(connection, "market.bars")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT FROM monitoring.locks FOR UPDATE",
        "SELECT FROM monitoring.locks FOR KEY SHARE",
        "LOCK TABLE monitoring.locks IN ACCESS SHARE MODE",
        "INSERT INTO monitoring.locks VALUES ('job:daily')",
        "LOCK TABLE public.alembic_version IN ACCESS SHARE MODE",
    ],
)
def test_the_analyst_reaches_no_lock_of_ours(warehouse: Warehouse, statement: str) -> None:
    with warehouse.lock("job:daily"), an_analyst(warehouse) as analyst:
        analyst.execute("BEGIN")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            analyst.execute(statement)


def test_who_waits_too_long_is_told_for_whom(database_url: str) -> None:
    with Warehouse(database_url) as warehouse, warehouse.lock("market.bars"):
        pass  # The row of a lock that was never taken before is not to be seen until its first holder ends.
    with (
        Warehouse(database_url, patience=timedelta(seconds=0.3)) as warehouse,
        warehouse.lock("market.bars") as held,
        warehouse.begin() as connection,
    ):
        assert held
        with pytest.raises(LockTimeoutError, match=r"market\.bars .* \(of \w+, since 20.*, server process \d+\)"):
            take_lock(connection, "market.bars")


def test_a_busy_job_is_said_to_be_and_leaves_no_row(warehouse: Warehouse) -> None:
    with (
        job_run(warehouse, "forecast", AS_OF),
        pytest.raises(JobBusyError, match="running already"),
        job_run(warehouse, "forecast", AS_OF + timedelta(days=1)),
    ):
        pass
    with warehouse.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM monitoring.job_runs")).scalar_one() == 1


def test_no_statement_waits_without_limit(database_url: str) -> None:
    """Whoever holds a table: here an administrator, whose session is open over lunch."""
    with Warehouse(database_url, patience=timedelta(seconds=0.3)) as warehouse, psycopg.connect(database_url) as admin:
        admin.execute("LOCK TABLE market.symbols")
        with pytest.raises(WarehouseError, match="lock timeout"), warehouse.begin() as connection:
            connection.execute(text("SELECT count(*) FROM market.symbols"))
    with Warehouse(database_url) as warehouse, warehouse.begin() as connection:
        assert connection.execute(text("SHOW lock_timeout")).scalar_one() == "10min"


def test_a_servers_time_outs_do_not_end_a_job_that_takes_longer(warehouse: Warehouse, server_url: str) -> None:
    administer(server_url, f"ALTER DATABASE {warehouse.url.database} SET idle_in_transaction_session_timeout = '200ms'")
    warehouse.close()
    with warehouse.lock("job:daily"), warehouse.begin(role=None) as connection:
        connection.execute(text("SELECT pg_sleep(0.6)"))
        with warehouse.lock("job:daily") as held_again:
            assert not held_again


def test_a_lock_that_nobody_had_before_is_given_to_one(warehouse: Warehouse) -> None:
    """Two that want the same new name: its row is made by one, and the other waits for that one."""
    taken, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with warehouse.begin() as connection:
            take_lock(connection, "a new one")
            taken.set()
            assert go_on.wait(20)

    with ThreadPoolExecutor(1) as pool:
        holder = pool.submit(hold)
        assert taken.wait(20)
        with warehouse.lock("a new one") as held:
            assert not held
        go_on.set()
        holder.result()
    with warehouse.lock("a new one") as held:
        assert held


def test_only_who_may_write_there_can_take_a_lock(warehouse: Warehouse) -> None:
    for role in (Role.WORKER, Role.DBT):
        with warehouse.begin(role) as connection:
            take_lock(connection, "features.technical")
