"""The daemon as a process, while its server goes away, and while it is killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

import pytest
from server_for_tests import PREFIX, fast_server, remove
from small_world import register
from sqlalchemy import text
from technical import HORIZONS, TECHNICAL_FEATURES

from mlops.embedded import EmbeddedServer
from mlops.warehouse import Warehouse
from mlops.warehouse.engine import parse_url
from mlops.warehouse.migrate import migrate

SCRIPT = Path(__file__).parents[1] / "daemon_in_a_process.py"
BEGIN = "2017-07-03T22:29:58+00:00"
EVERY_MINUTE = "* * * * *"
FASTER = "15"
"""Four seconds are a minute."""


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    """A server of the test's own, migrated, in the place where the embedded one is for FORECASTLE_HOME.

    It listens where no other test's server does, so that nobody takes its port while it is down.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}daemon-"))
    folder.chmod(0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    server = fast_server(folder, max_connections="50", port=port)
    try:
        with Warehouse(server.up().url) as warehouse:
            migrate(warehouse)
        yield server
    finally:
        remove(server)


class Daemon:
    """A daemon that runs, its log, and the rows that it leaves."""

    def __init__(self, log: Path, *arguments: str, **settings: str) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FORECASTLE_")}
        self.log = log
        with log.open("a", encoding="utf-8") as stream:
            self.process = subprocess.Popen(
                [sys.executable, str(SCRIPT), *arguments],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stream, text=True, env=kept | settings,
            )  # fmt: skip

    def go_on(self) -> None:
        pipe(self.process.stdin).write("\n")
        pipe(self.process.stdin).flush()

    def heard(self) -> str:
        """The next line that it prints; nothing where none comes."""
        watchdog = threading.Timer(60, self.process.kill)
        watchdog.start()
        line = pipe(self.process.stdout).readline()
        watchdog.cancel()
        return line

    def end(self, signum: int = signal.SIGTERM) -> int:
        self.process.send_signal(signum)
        return self.process.wait(30)

    def logged(self) -> str:
        return self.log.read_text("utf-8")


def pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


Start = Callable[..., Daemon]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a daemon as of BEGIN with jobs and settings; all are ended with the test."""
    daemons: list[Daemon] = []

    def begin(jobs: str, *, at: str = BEGIN, speed: str = "1", **settings: str) -> Daemon:
        daemons.append(Daemon(tmp_path / "daemon.log", at, speed, jobs, **settings))
        return daemons[-1]

    yield begin
    for daemon in daemons:
        daemon.process.kill()
        daemon.process.communicate()


def runs(url: str, job: str = "daily") -> list[Any]:
    with Warehouse(url) as warehouse, warehouse.begin() as connection:
        return list(
            connection.execute(
                text("SELECT * FROM monitoring.job_runs WHERE job = :job ORDER BY as_of, attempt"), {"job": job}
            )
        )


def wait_for(condition: Callable[[], object], daemon: Daemon, seconds: float = 150) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert daemon.process.poll() is None, daemon.logged()
        assert time.monotonic() < end, daemon.logged()
        time.sleep(0.1)


def succeeded(url: str) -> list[datetime]:
    return [row.as_of for row in runs(url) if row.state == "succeeded"]


@contextmanager
def squatter(port: int | None) -> Iterator[None]:
    """Somebody else listens on the port."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port or 0))
        taken.listen()
        yield


def test_a_server_of_ones_own_may_be_restarted_between_two_runs_and_stay_away_for_a_while(
    server: EmbeddedServer, start: Start
) -> None:
    url = server.up().url
    daemon = start("probe", speed=FASTER, FORECASTLE_DATABASE_URL=url, FORECASTLE_DAILY_AT=EVERY_MINUTE)
    wait_for(lambda: succeeded(url), daemon)
    server.down()
    assert server.up().url == url
    before = len(succeeded(url))
    wait_for(lambda: len(succeeded(url)) > before, daemon)
    # A run that the restart met in its middle has failed and was tried again: the end of this test counts the minutes.

    server.down()
    wait_for(lambda: "No database answers" in daemon.logged(), daemon)
    time.sleep(3)
    server.up()
    newest = max(succeeded(url))
    wait_for(lambda: max(succeeded(url)) > newest, daemon)
    assert daemon.end() == 0
    rows = runs(url)
    minutes = sorted({row.as_of for row in rows})
    assert minutes == [minutes[0] + timedelta(minutes=n) for n in range(len(minutes))]
    assert {row.as_of for row in rows if row.state in ("succeeded", "missed")} == set(minutes)
    found = [row.error for row in rows if row.error]
    assert any("WarehouseUnreachableError: No database answers" in error and "Tried" in error for error in found), found


def test_a_server_that_is_restarted_in_the_middle_of_a_run(server: EmbeddedServer, start: Start) -> None:
    url = server.up().url
    daemon = start("hold", speed=FASTER, FORECASTLE_DATABASE_URL=url, FORECASTLE_DAILY_AT="30 22 * * *")
    assert daemon.heard() == "begun\n"
    server.down()
    server.up()
    daemon.go_on()
    assert daemon.heard() == "begun\n"
    daemon.go_on()
    wait_for(lambda: succeeded(url), daemon)
    due = datetime(2017, 7, 3, 22, 30, tzinfo=UTC)
    assert [(row.as_of, row.attempt) for row in runs(url)] == [(due, 1), (due, 2)]
    assert [row.state for row in runs(url)] == ["failed", "succeeded"]
    assert "WarehouseUnreachableError" in runs(url)[0].error


def test_the_embedded_server_is_started_where_it_is_down_wherever_it_then_listens(
    server: EmbeddedServer, start: Start
) -> None:
    url = server.up().url
    server.down()
    daemon = start("probe", speed=FASTER, FORECASTLE_HOME=str(server.folder), FORECASTLE_DAILY_AT=EVERY_MINUTE)
    wait_for(lambda: "is due next" in daemon.logged(), daemon)
    assert server.up().started is False
    wait_for(lambda: succeeded(url), daemon)
    server.down()
    with squatter(parse_url(url).port):
        wait_for(lambda: daemon.logged().count("Starting the database") == 2, daemon)
        elsewhere = server.up().url
        assert elsewhere != url
        newest = max(succeeded(elsewhere))
        wait_for(lambda: max(succeeded(elsewhere)) > newest, daemon)
    assert daemon.end() == 0


def test_a_daemon_that_starts_before_its_server_waits_for_it_and_can_be_stopped(
    server: EmbeddedServer, start: Start
) -> None:
    url = server.up().url
    server.down()
    settings = {"FORECASTLE_DATABASE_URL": url, "FORECASTLE_DAILY_AT": EVERY_MINUTE}
    stopped = start("probe", **settings)
    wait_for(lambda: "Trying again" in stopped.logged(), stopped)
    began = time.monotonic()
    assert stopped.end() == 0
    assert time.monotonic() - began < 5
    waiting = start("probe", speed=FASTER, **settings)
    wait_for(lambda: stopped.logged().count("It is waited for.") == 2, waiting)
    server.up()
    wait_for(lambda: succeeded(url), waiting)


def test_killed_in_the_middle_of_a_daily_it_goes_on_under_the_same_as_of(featured: Warehouse, start: Start) -> None:
    """Real prices, features, checks and forecasts; killed while dbt builds, and started the next morning."""
    url = featured.plain_url
    names = (*TECHNICAL_FEATURES, *(f"p50_h{h}" for h in HORIZONS))
    reference = ([-1.0, 0.0, 1.0], [250, 250, 250, 250])
    register(featured, datetime(2012, 12, 3, tzinfo=UTC), references=dict.fromkeys(names, reference))
    settings = {"FORECASTLE_DATABASE_URL": url, "FORECASTLE_DAILY_AT": "30 22 * * mon-fri"}
    settings |= {"FORECASTLE_HOME": os.environ.get("FORECASTLE_HOME", "")} if "FORECASTLE_HOME" in os.environ else {}
    daemon = start("real", at="2013-02-27T22:29:59+00:00", **settings)
    wait_for(lambda: any(row.state == "running" for row in runs(url, "features")), daemon, 400)
    daemon.end(signal.SIGKILL)
    due = datetime(2013, 2, 27, 22, 30, tzinfo=UTC)
    assert [(row.as_of, row.state) for row in runs(url)] == [(due, "running")]

    daemon = start("real", at="2013-02-28T10:00:00+00:00", **settings)
    wait_for(lambda: succeeded(url), daemon, 400)
    assert daemon.end() == 0
    for job in ("daily", "features"):
        assert [(row.as_of, row.attempt, row.state) for row in runs(url, job)] == [
            (due, 1, "abandoned"),
            (due, 2, "succeeded"),
        ]
    with featured.begin() as connection:
        known = connection.execute(text("SELECT min(as_of), max(as_of), count(*) FROM ml.predictions")).one()
        newest = connection.execute(text("SELECT max(known_at) FROM market.bars")).scalar_one()
    close = datetime(2013, 2, 27, 21, tzinfo=UTC)
    assert tuple(known) == (close, close, 20)
    assert newest > due


def test_a_pool_outlives_a_restart_of_its_server(server: EmbeddedServer) -> None:
    with Warehouse(server.up().url) as warehouse:
        with warehouse.begin() as connection:
            connection.execute(text("SELECT 1"))
        server.down()
        server.up()
        with warehouse.begin() as connection:
            assert connection.execute(text("SELECT 1")).scalar_one() == 1
        with warehouse.lock("somebody") as held:
            assert held
