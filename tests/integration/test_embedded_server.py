"""The embedded server in the states that it may be found in; each test has a server and a folder of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from server_for_tests import PREFIX, USERS_HOME, fast_server, remove

from mlops.embedded import EmbeddedServer
from mlops.embedded.account import server_account
from mlops.embedded.postmaster import running
from mlops.exceptions import EmbeddedServerError
from mlops.warehouse import Warehouse
from mlops.warehouse.engine import parse_url
from mlops.warehouse.migrate import migrate

UP = """
import sys
from pathlib import Path
from server_for_tests import fast_server
print(fast_server(Path(sys.argv[1])).up(lambda what, done: print(what, flush=True)).url)
"""


@contextmanager
def a_folder() -> Iterator[Path]:
    """A folder for a server, which the account that it runs under can enter."""
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}one-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        remove(fast_server(folder))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for a server of the test's own."""
    with a_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def seasoned() -> Iterator[EmbeddedServer]:
    """A server with 1,000 rows in the table `kept`, for tests that leave it as they found it."""
    with a_folder() as folder:
        server = fast_server(folder)
        fill(server.up().url)
        yield server


def pid(server: EmbeddedServer) -> int:
    """The number of the running server's process."""
    found = running(server.place, server_account(server.place.cluster))
    assert found is not None
    return found.pid


def is_running(server: EmbeddedServer) -> bool:
    return running(server.place, server_account(server.place.cluster)) is not None


def fill(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS i")


def kept(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM kept").fetchone()
    assert row is not None
    return int(row[0])


def up_elsewhere(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", UP, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )


def as_account(server: EmbeddedServer, *arguments: str | Path) -> subprocess.Popen[bytes]:
    account = server_account(server.place.cluster)
    return subprocess.Popen(
        [str(argument) for argument in arguments],
        user=account.uid,
        group=account.gid,
        extra_groups=None if account.uid is None else [],
        cwd="/",
    )


def test_up_twice_is_one_server(folder: Path) -> None:
    server = fast_server(folder)
    first = server.up()
    number = pid(server)
    second = server.up()
    assert (first.started, first.created) == (True, True)
    assert (second.started, second.created) == (False, False)
    assert first.url == second.url
    assert pid(server) == number
    with psycopg.connect(first.url) as connection:
        for setting, expected in {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "password_encryption": "scram-sha-256",
            "server_encoding": "UTF8",
            "TimeZone": "UTC",
            "timescaledb.telemetry_level": "off",
            "jit": "off",
        }.items():
            assert connection.execute("SELECT current_setting(%s)", (setting,)).fetchone() == (expected,)
        connection.execute("CREATE EXTENSION timescaledb")


def test_down_and_up_keeps_data_and_port(seasoned: EmbeddedServer) -> None:
    url = seasoned.up().url
    assert seasoned.down() is True
    assert seasoned.down() is False
    again = seasoned.up()
    assert (again.url, again.started, again.created) == (url, True, False)
    assert kept(url) == 1000


def test_three_at_once_are_one_server(folder: Path) -> None:
    others = [up_elsewhere(folder) for _ in range(3)]
    urls = {other.communicate(timeout=120)[0].splitlines()[-1] for other in others}
    assert [other.returncode for other in others] == [0, 0, 0]
    assert urls == {fast_server(folder).up().url}


def test_it_outlives_the_process_that_started_it_and_holds_nothing_of_it(folder: Path) -> None:
    # communicate returns at the end of the output: a server that held it would hold us.
    other = up_elsewhere(folder)
    url = other.communicate(timeout=120)[0].splitlines()[-1]
    fill(url)
    assert os.getsid(pid(fast_server(folder))) != os.getsid(0)
    assert fast_server(folder).up().started is False


def test_the_passwords_are_for_the_user_alone(folder: Path) -> None:
    server = fast_server(folder)
    url = server.up().url
    assert server.place.passwords.stat().st_mode & 0o777 == 0o600
    assert server.place.passwords.stat().st_uid == os.geteuid()
    assert server.place.data.stat().st_mode & 0o777 == 0o700
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url, password="guess")  # noqa: S106
    for log in server.place.cluster.glob("*.log"):
        assert server.place.password("forecastle") not in log.read_text("utf-8")


def test_lost_passwords_are_made_anew(seasoned: EmbeddedServer) -> None:
    seasoned.up()
    seasoned.place.passwords.unlink()
    with pytest.raises(EmbeddedServerError, match=r"is gone\. Run `forecastle db down`"):
        seasoned.up()
    seasoned.down()
    assert kept(seasoned.up().url) == 1000


def test_killed_server_loses_nothing_that_was_committed(folder: Path) -> None:
    server = EmbeddedServer(folder, USERS_HOME, durable=True)
    url = server.up().url
    fill(url)
    connection = psycopg.connect(url)
    connection.execute("DELETE FROM kept")  # never committed
    os.kill(pid(server), signal.SIGKILL)
    while is_running(server):
        time.sleep(0.01)
    again = server.up()
    connection.close()
    assert again.started
    assert kept(again.url) == 1000


def test_killed_while_an_unlogged_table_is_made(folder: Path) -> None:
    """A session outlives its server for a moment, and takes back what it had begun: half of a table's files."""
    server = fast_server(folder, synchronous_commit="on")
    url = server.up().url
    with closing(psycopg.connect(url)) as making, closing(psycopg.connect(url, autocommit=True)) as other:
        making.execute("CREATE UNLOGGED TABLE half (i int PRIMARY KEY)")
        other.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS i")  # writes down what came before
        os.kill(pid(server), signal.SIGKILL)
        assert kept(server.up().url) == 1000
    with psycopg.connect(url) as connection:
        connection.execute("CREATE UNLOGGED TABLE half (i int PRIMARY KEY)")


def test_killed_after_a_migration_gives_out_no_number_twice(folder: Path) -> None:
    """What a sequence came to in the transaction that made it, PostgreSQL does not log at wal_level minimal."""
    server = fast_server(folder, synchronous_commit="on", full_page_writes="on")
    url = server.up().url
    with Warehouse(url) as warehouse:
        migrate(warehouse)
    hypertable = "CREATE TABLE {0} (ts timestamptz NOT NULL); SELECT create_hypertable('{0}', by_range('ts'))"
    symbol = "INSERT INTO market.symbols (ticker, asset_class, exchange, timezone) VALUES (%s, 'fx', 'X', 'UTC')"
    with psycopg.connect(url) as connection:
        connection.execute(hypertable.format("public.one"))
        connection.execute(symbol, ["ONE"])
    os.kill(pid(server), signal.SIGKILL)
    with psycopg.connect(server.up().url) as connection:
        connection.execute(hypertable.format("public.two"))
        connection.execute(symbol, ["TWO"])


def test_pid_file_that_names_another_program(seasoned: EmbeddedServer) -> None:
    seasoned.up()
    text = (seasoned.place.data / "postmaster.pid").read_text("utf-8")
    seasoned.down()
    with as_account(seasoned, "sleep", "60") as other:
        stale = seasoned.place.data / "postmaster.pid"
        server_account(seasoned.place.cluster).write(stale, text.replace(text.split("\n")[0], str(other.pid), 1))
        assert not is_running(seasoned)
        assert kept(seasoned.up().url) == 1000
        assert other.poll() is None
        other.kill()


@pytest.mark.parametrize("text", ["", "4194304\n/nowhere\n", "not a number\n"], ids=["empty", "dead", "damaged"])
def test_stale_pid_file(seasoned: EmbeddedServer, text: str) -> None:
    seasoned.down()
    server_account(seasoned.place.cluster).write(seasoned.place.data / "postmaster.pid", text)
    assert kept(seasoned.up().url) == 1000


def test_taken_port(seasoned: EmbeddedServer) -> None:
    url = seasoned.up().url
    seasoned.down()
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", parse_url(url).port or 0))
        squatter.listen()
        elsewhere = seasoned.up().url
    assert elsewhere != url
    assert kept(elsewhere) == 1000
    seasoned.down()
    assert seasoned.up().url == elsewhere


def test_half_made_data_folder_is_left_alone(folder: Path) -> None:
    server = fast_server(folder)
    server.place.data.mkdir(parents=True)
    (server.place.data / "PG_VERSION").write_text("17\n")
    (server.place.data / "precious").write_text("bytes")
    with pytest.raises(EmbeddedServerError, match=r"no whole PostgreSQL data folder\. Nothing was changed"):
        server.up()
    assert (server.place.data / "precious").read_text() == "bytes"
    assert sorted(path.name for path in server.place.data.iterdir()) == ["PG_VERSION", "precious"]


@pytest.mark.parametrize("text", ["", "seventeen\n", "17.2\n"], ids=["empty", "word", "fraction"])
def test_damaged_version_of_the_data_folder(seasoned: EmbeddedServer, text: str) -> None:
    seasoned.down()
    account, version = server_account(seasoned.place.cluster), seasoned.place.data / "PG_VERSION"
    ours = version.read_text()
    account.write(version, text)
    with pytest.raises(EmbeddedServerError, match=r"no whole PostgreSQL data folder\. Nothing was changed"):
        seasoned.up()
    account.write(version, ours)
    assert kept(seasoned.up().url) == 1000


def test_killed_while_making_the_data_folder(folder: Path) -> None:
    other = up_elsewhere(folder)
    assert other.stdout is not None
    for line in other.stdout:
        if line.startswith("Making"):
            break
    other.kill()
    other.communicate()
    server = fast_server(folder)
    assert not server.place.data.exists()
    started = server.up()
    assert started.created
    fill(started.url)
    assert sorted(path.name for path in server.place.cluster.iterdir()) == ["data", "server.log"]


def test_data_of_another_major_version(seasoned: EmbeddedServer) -> None:
    seasoned.down()
    account, version = server_account(seasoned.place.cluster), seasoned.place.data / "PG_VERSION"
    ours = version.read_text()
    account.write(version, "9\n")
    with pytest.raises(
        EmbeddedServerError, match=r"is of PostgreSQL 9, and no PostgreSQL 9 with TimescaleDB is installed"
    ):
        seasoned.up()
    account.write(version, ours)
    assert kept(seasoned.up().url) == 1000


def test_wrong_permissions_of_the_data_folder(seasoned: EmbeddedServer) -> None:
    seasoned.down()
    seasoned.place.data.chmod(0o777)
    with pytest.raises(EmbeddedServerError, match=r"has invalid permissions\. Its log: .*server\.log"):
        seasoned.up()
    seasoned.place.data.chmod(0o700)
    assert kept(seasoned.up().url) == 1000


def test_folder_that_the_server_may_not_enter(folder: Path) -> None:
    inner = folder / "closed"
    inner.mkdir()
    inner.chmod(0o700 if os.geteuid() == 0 else 0o500)
    reason = "cannot enter" if os.geteuid() == 0 else "may not be read or written by this user"
    with pytest.raises(EmbeddedServerError, match=rf"(?s){reason}.*FORECASTLE_HOME"):
        fast_server(inner).up()
    inner.chmod(0o700)
    shutil.rmtree(inner)


def test_a_setting_that_cannot_be_is_reported_from_the_log(seasoned: EmbeddedServer) -> None:
    seasoned.down()
    with pytest.raises(EmbeddedServerError, match=r'did not start: could not access file "absent".*server\.log'):
        fast_server(seasoned.folder, shared_preload_libraries="absent").up()
    assert seasoned.up().started
