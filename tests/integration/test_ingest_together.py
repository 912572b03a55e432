"""An ingest that is killed, and two at once."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from jobs.ingest import typed
from mlops.sources import Ingested, SampleSource, ingest_bars
from mlops.warehouse import Warehouse
from mlops.warehouse.locks import take_lock

INGEST = "import sys; from mlops.cli.ingest import ingest_app; ingest_app(sys.argv[1:])"
AS_OF = datetime(2017, 6, 30, 22, 30, tzinfo=UTC)
TABLES = ("symbols", "sessions", "bars", "superseded_bars", "ingests", "rejects")


def fingerprint(warehouse: Warehouse) -> list[Any]:
    """Everything in market, with the transactions that wrote it."""
    query = "SELECT count(*), md5(string_agg(xmin::text || t::text, ',' ORDER BY t::text)) FROM market."
    with warehouse.begin(role=None) as connection:
        return [connection.execute(text(f"{query}{name} t")).one() for name in TABLES]


def job_runs(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    query = "SELECT job, subject, scheduled, state, error FROM monitoring.job_runs ORDER BY started_at"
    with warehouse.begin() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


@contextmanager
def running(url: str, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-c", INGEST, "bars", "--source", "sample", "--database-url", url, *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until(warehouse: Warehouse, query: str, what: str) -> None:
    """Wait until the query gives true."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with warehouse.begin(role=None) as connection:
            if connection.execute(text(query)).scalar_one():
                return
        time.sleep(0.01)
    raise AssertionError(f"never saw: {what}")


OTHERS = (
    "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
    "AND backend_type = 'client backend'"
)


@pytest.mark.parametrize(
    ("lock", "waiting_for"),
    [
        ("LOCK TABLE market.symbols IN SHARE MODE", "add the symbols"),
        ("LOCK TABLE market.bars IN SHARE MODE", "add the bars"),
        ("LOCK TABLE market.ingests IN SHARE MODE", "note the ingest, the last but one step"),
    ],
)
def test_killed_in_the_middle_it_leaves_nothing(
    warehouse: Warehouse, database_url: str, lock: str, waiting_for: str
) -> None:
    ingest_bars(warehouse, SampleSource(until=date(2000, 12, 29)))
    with warehouse.begin(role=None) as connection:  # so that there are bars to correct, and a symbol to add
        connection.execute(text("UPDATE market.bars SET high = high + 1"))
    before = fingerprint(warehouse)
    with warehouse.begin(role=None) as holder:
        holder.execute(text(lock))
        with running(database_url) as process:
            wait_until(warehouse, f"SELECT count(*) > 0 {OTHERS} AND wait_event_type = 'Lock'", waiting_for)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
    wait_until(warehouse, f"SELECT count(*) = 0 {OTHERS} AND wait_event_type = 'Lock'", "its end in the database")
    assert fingerprint(warehouse) == before
    assert ingest_bars(warehouse, SampleSource()).read == 12154
    assert fingerprint(warehouse) != before


def test_two_at_once_wait_for_each_other(warehouse: Warehouse, database_url: str) -> None:
    with running(database_url, "--json") as first, running(database_url, "--json") as second:
        outputs = [process.communicate(timeout=120) for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], outputs
    assert job_runs(warehouse) == 2 * [("ingest", "bars", False, "succeeded", None)]
    with warehouse.begin(role=None) as connection:
        noted = connection.execute(text("SELECT n_new, n_unchanged FROM market.ingests ORDER BY id")).all()
        assert [tuple(row) for row in noted] == [(12154, 0), (0, 12154)]
        assert connection.execute(text("SELECT count(*) FROM market.bars")).scalar_one() == 12154


def test_whoever_waits_is_told_for_whom(warehouse: Warehouse, database_url: str) -> None:
    lasts, said = threading.Event(), []

    def long() -> Ingested:
        assert lasts.wait(60)
        return Ingested(0, 0, 0, 0, 0)

    def short() -> Ingested:
        order.append("short")
        return Ingested(0, 0, 0, 0, 0)

    def told(holder: str) -> None:
        said.append(holder)
        order.append("waiting")
        lasts.set()

    order: list[str] = []
    typed(warehouse, AS_OF, "bars", lambda: Ingested(0, 0, 0, 0, 0), said.append)  # the lock's row is there from now on
    first = threading.Thread(target=typed, args=(warehouse, AS_OF, "bars", long, said.append))
    first.start()
    wait_until(warehouse, "SELECT count(*) > 1 FROM monitoring.job_runs", "the first one at work")
    typed(warehouse, AS_OF, "earnings", short, said.append)  # of another kind, it need not wait
    typed(warehouse, AS_OF, "bars", short, told)
    first.join(60)
    assert order == ["short", "waiting", "short"]
    assert [holder.split(" (")[0] for holder in said] == ["another process"]
    assert "server process" in said[0]
    assert [row[1:] for row in job_runs(warehouse)] == [
        (subject, False, "succeeded", None) for subject in ("bars", "bars", "earnings", "bars")
    ]


def test_what_is_refused_leaves_its_row_and_a_slip_none(
    warehouse: Warehouse, database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "empty.csv").touch()
    for file in ("empty.csv", "nowhere.csv"):
        command = [sys.executable, "-c", INGEST, "earnings", str(tmp_path / file), "--database-url", database_url]
        assert subprocess.run(command, capture_output=True, check=False).returncode == 1
    said = f"SourceError: {tmp_path / 'empty.csv'} is empty. Write the file again."
    assert job_runs(warehouse) == [("ingest", "earnings", False, "failed", said)]


def test_recorded_at_is_taken_after_the_lock(warehouse: Warehouse) -> None:
    """Else who has seen all up to some recorded_at would miss bars that were recorded before and come later."""
    done = threading.Event()

    def take() -> None:
        ingest_bars(warehouse, SampleSource(until=date(2000, 3, 1)))
        done.set()

    with warehouse.begin(role=None) as holder:
        take_lock(holder, "market.bars")
        thread = threading.Thread(target=take)
        thread.start()
        wait_until(
            warehouse,
            f"SELECT count(*) > 0 {OTHERS} AND wait_event IN ('transactionid', 'tuple')",
            "the ingest waiting",
        )
        assert not done.is_set()
        released_at = holder.execute(text("SELECT clock_timestamp()")).scalar_one()
    thread.join(60)
    with warehouse.begin() as connection:
        assert connection.execute(text("SELECT min(recorded_at) FROM market.bars")).scalar_one() > released_at
