"""`forecastle db` on the embedded server, as a person runs it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from server_for_tests import PREFIX, fast_server

from mlops.embedded import EmbeddedServer

Run = Callable[..., subprocess.CompletedProcess[str]]

MAIN = """
import sys
from mlops.cli.db import db_app
from mlops.exceptions import ForecastleError
try:
    db_app()
except ForecastleError as error:
    sys.exit(f"error: {error}")
"""


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix=f"{PREFIX}home-"))
    home.chmod(0o755)
    yield home
    EmbeddedServer(home, home).down()
    shutil.rmtree(home)


@pytest.fixture(scope="module")
def db(home: Path) -> Run:
    """Run `forecastle db ...` with a home of its own; PostgreSQL counts as installed, which saves fetching it again."""
    programs = fast_server(home).programs(None).folder
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FORECASTLE_")}
    environment = kept | {"FORECASTLE_HOME": str(home), "PATH": f"{programs}:{os.environ['PATH']}"}

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", MAIN, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env=environment | more,
        )

    return run


def test_the_way_of_a_newcomer(db: Run, home: Path) -> None:
    # No `up` before: whatever needs the database makes it, with its tables and the views, which have no rows yet.
    assert db("psql", "--", "-XAtc", "SELECT count(*) FROM ml_forecasts").stdout == "0\n"
    assert db("psql", "--", "-XAtc", "SELECT current_user").stdout == "forecastle_analyst\n"
    assert db("down").stdout == "The embedded TimescaleDB was stopped.\n"
    up = db("up")
    assert up.returncode == 0, up.stderr
    assert up.stdout.startswith("The embedded TimescaleDB was started on 127.0.0.1:")
    assert up.stdout.count("\n") == 1
    again = json.loads(db("up", "--json").stdout)
    assert (again["started"], again["created"], again["revision"]) == (False, False, "0015")
    assert json.loads(db("url", "--json").stdout) == {"url": again["url"]}
    assert db("migrate").stdout == "The tables are at revision 0015.\n"

    query = db("psql", "--", "-XAtc", "SELECT current_user || ' at ' || current_setting('search_path')")
    assert query.stdout == "forecastle_analyst at analytics, public\n"
    assert db("psql", "--", "-XAtc", "SELECT nonsense").returncode == 1
    named = db("psql", "--", "-XAtc", "SELECT current_user", FORECASTLE_DATABASE_URL=again["url"])
    assert named.stdout == "forecastle\n"
    assert oct(home.joinpath("passwords.json").stat().st_mode)[-3:] == "600"

    assert db("down").returncode == 0
    assert db("down").stdout == "The embedded TimescaleDB is not running.\n"


def test_a_server_of_the_users_is_not_ours(db: Run) -> None:
    url = "postgresql://me@127.0.0.1:9/db"
    for ended in (db("up", "--database-url", url), db("down", FORECASTLE_DATABASE_URL=url)):
        assert ended.returncode == 1
        assert "not ours to" in ended.stderr
    assert db("url", FORECASTLE_DATABASE_URL=url).stdout == url + "\n"
    refused = db("url", "--role", "analyst", "--database-url", url)
    assert refused.returncode == 1
    assert "CREATE ROLE me LOGIN" in refused.stderr


def test_a_password_is_not_among_the_arguments(db: Run, tmp_path: Path) -> None:
    spy = tmp_path / "psql"
    spy.write_text('#!/bin/sh\necho "$@ $PGPASSWORD"\n')
    spy.chmod(0o755)
    said = db("psql", PATH=f"{tmp_path}:{os.environ['PATH']}", FORECASTLE_DATABASE_URL="postgresql://me:secret@h:9/d")
    assert said.stdout == "--dbname postgresql://me@h:9/d secret\n"


PATIENT = """
import sys
from mlops.cli.connect import open_as_worker, open_warehouse
from mlops.exceptions import ForecastleError
from mlops.features import runner
openings = {"a command": open_warehouse, "the daemon": lambda: open_as_worker(None, lambda *_: None)}
with openings[sys.argv[1]]() as warehouse:
    warehouse.close()
    print(warehouse.url.port, warehouse.url.password, flush=True)
    sys.stdin.readline()
    for connect in (lambda: warehouse.begin(role=None).__enter__(), lambda: runner.run(warehouse.url)):
        try:
            connect()
        except ForecastleError as error:
            print(" ".join(str(error).split()), flush=True)
"""


class Impostor(threading.Thread):
    """Another user of the machine, who listens where the server did and asks for the password in plain words."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.heard = b""
        self.connections = 0
        self.socket = socket.create_server(("127.0.0.1", port))
        self.start()

    def run(self) -> None:
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            with client:
                client.settimeout(5)
                self.connections += 1
                try:
                    if client.recv(4096)[4:8] == b"\x04\xd2\x16\x2f":  # may we encrypt?
                        client.sendall(b"N")
                        client.recv(4096)
                    client.sendall(b"R\x00\x00\x00\x08\x00\x00\x00\x03")  # AuthenticationCleartextPassword
                    self.heard += client.recv(4096)
                except OSError:
                    continue


@pytest.mark.parametrize("who", ["a command", "the daemon"])
def test_whoever_listens_in_the_servers_place_is_not_told_the_password(db: Run, home: Path, who: str) -> None:
    assert db("up").returncode == 0
    with subprocess.Popen(
        [sys.executable, "-c", PATIENT, who],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"FORECASTLE_HOME": str(home)},
    ) as job:
        assert job.stdout is not None
        port, word = job.stdout.readline().split()
        assert db("down").returncode == 0
        impostor = Impostor(int(port))
        said, _ = job.communicate("go on\n", timeout=120)
    impostor.socket.close()
    assert impostor.connections >= 2
    assert len(said.splitlines()) == 2
    assert word.encode() not in impostor.heard
    # psql, which connects again by itself, keeps to the same rule.
    assert db("psql", "--", "-Xc", "\\! printenv PGREQUIREAUTH").stdout == "scram-sha-256\n"
