"""Builds of features while people read: neither keeps the other waiting for long, nor is anything left in the queue."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import text

from mlops.domain import Role
from mlops.exceptions import WarehouseError
from mlops.features import build
from mlops.warehouse import Warehouse

BUILD = """
import sys
from mlops.features import build
from mlops.warehouse import Warehouse
with Warehouse(sys.argv[1]) as warehouse:
    build(warehouse, full_refresh="full" in sys.argv)
"""
WAITS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%change_when_free%'"


@contextmanager
def analyst_reading(warehouse: Warehouse, view: str) -> Iterator[psycopg.Connection]:
    """An analyst who has read a view, and has gone to lunch with the transaction open."""
    with psycopg.connect(warehouse.plain_url) as connection:
        connection.execute("SET ROLE forecastle_analyst")
        connection.execute(f"SELECT * FROM {view} LIMIT 1")
        yield connection
        connection.rollback()


def build_elsewhere(warehouse: Warehouse, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", BUILD, warehouse.plain_url, *options], stderr=subprocess.PIPE, text=True
    )


def count(warehouse: Warehouse, query: str) -> int:
    with warehouse.begin(role=None) as connection:
        return int(connection.execute(text(f"{query} AND pid <> pg_backend_pid()")).scalar_one())


def wait_until(done: Callable[[], bool], what: str, seconds: float = 150) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def change_a_view(warehouse: Warehouse) -> None:
    """As after an upgrade: the same columns, computed in another way."""
    with warehouse.begin(Role.DBT) as connection:
        columns = connection.execute(text("SELECT pg_get_viewdef('analytics.symbols'::regclass)")).scalar_one()
        connection.execute(
            text(f"CREATE OR REPLACE VIEW analytics.symbols AS SELECT * FROM ({columns.rstrip(';')}) AS s")
        )


def test_an_open_transaction_on_a_view_keeps_no_build_of_the_same_views_waiting(featured: Warehouse) -> None:
    with analyst_reading(featured, "analytics.feature_history"), analyst_reading(featured, "analytics.symbols"):
        process = build_elsewhere(featured)
        _, said = process.communicate(timeout=200)
    assert process.returncode == 0, said


def test_a_view_that_changes_is_changed_when_its_reader_ends_and_others_read_meanwhile(featured: Warehouse) -> None:
    build(featured)
    change_a_view(featured)
    with analyst_reading(featured, "analytics.symbols"):
        process = build_elsewhere(featured)
        wait_until(lambda: count(featured, WAITS) > 0, "the build should come to the view")
        for _ in range(5):
            with analyst_reading(featured, "analytics.symbols") as another:
                another.execute("SET LOCAL statement_timeout = '5s'")
                another.execute("SELECT count(*) FROM analytics.symbols")
            time.sleep(0.3)
        assert process.poll() is None
    _, said = process.communicate(timeout=200)
    assert process.returncode == 0, said
    with featured.begin(role=None) as connection:
        definition = connection.execute(text("SELECT pg_get_viewdef('analytics.symbols'::regclass)")).scalar_one()
    assert "( SELECT" not in definition


def test_a_full_build_waits_for_readers_and_lets_others_read(featured: Warehouse) -> None:
    with analyst_reading(featured, "analytics.feature_history"):
        process = build_elsewhere(featured, "full")
        wait_until(lambda: count(featured, f"{WAITS} AND query LIKE '%truncate%'") > 0, "the build should come so far")
        with featured.begin() as connection:
            connection.execute(text("SET LOCAL statement_timeout = '5s'"))
            assert connection.execute(text("SELECT count(*) FROM features.technical")).scalar_one() == 11_904
        assert process.poll() is None
    _, said = process.communicate(timeout=200)
    assert process.returncode == 0, said
    with featured.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM features.technical")).scalar_one() == 11_904


def test_a_killed_build_does_not_stay_in_the_queue(featured: Warehouse) -> None:
    backends = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
    )
    featured.close()
    with analyst_reading(featured, "analytics.feature_history"):
        before = count(featured, backends)
        process = build_elsewhere(featured, "full")
        wait_until(lambda: count(featured, f"{WAITS} AND query LIKE '%truncate%'") > 0, "the build should come so far")
        assert count(featured, backends) > before
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        wait_until(lambda: count(featured, backends) == before, "its sessions should end", seconds=15)
    build(featured)


def test_a_session_that_waits_for_a_table_ends_when_its_client_is_killed(featured: Warehouse) -> None:
    """Whatever it waits for: here a lock that PostgreSQL itself would keep it waiting for without limit."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE query = 'TRUNCATE market.rejects'"
    script = "import psycopg, sys; psycopg.connect(sys.argv[1]).execute('TRUNCATE market.rejects')"
    with psycopg.connect(featured.plain_url) as reader:
        reader.execute("SELECT count(*) FROM market.rejects")
        process = subprocess.Popen([sys.executable, "-c", script, featured.plain_url])
        wait_until(lambda: count(featured, waiting) == 1, "it should wait")
        process.kill()
        process.wait()
        wait_until(lambda: count(featured, waiting) == 0, "it should be gone", seconds=15)


def test_whoever_does_not_end_is_named(featured: Warehouse) -> None:
    with ThreadPoolExecutor(1) as pool, analyst_reading(featured, "analytics.symbols") as analyst:

        def change() -> None:
            with featured.begin(Role.DBT) as connection:
                statement = "SELECT staging.change_when_free(:view, 'DROP VIEW analytics.symbols CASCADE', :patience)"
                patience = timedelta(seconds=0.5)
                connection.execute(text(statement), {"view": "analytics.symbols", "patience": patience})

        pid = analyst.info.backend_pid
        with pytest.raises(
            WarehouseError, match=rf"analytics\.symbols is held .*: \w+ \(pg_terminate_backend\({pid}\)\)"
        ):
            pool.submit(change).result(60)
