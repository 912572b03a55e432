"""A server that is starting or stopping is waited for; every other refusal comes at once."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
from server_for_tests import fast_server, open_folder
from sqlalchemy import text

from mlops.embedded import EmbeddedServer
from mlops.exceptions import WarehouseUnreachableError
from mlops.warehouse import Warehouse, connecting
from mlops.warehouse.databases import ensure_database
from mlops.warehouse.engine import parse_url


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    with open_folder("connecting") as folder:
        server = fast_server(folder, wal_level="replica", hot_standby="off")
        server.up()
        yield server
        server.down()


@pytest.fixture
def recovering(server: EmbeddedServer) -> Iterator[str]:
    """URL of a server that goes on recovering, and lets nobody in, until it is promoted."""
    url = server.up().url
    server.down()
    server.account.write(server.place.data / "standby.signal", "")
    control(server, "start", "--no-wait", "--log", str(server.place.log))
    while "the database system is" not in refusal(url):
        time.sleep(0.1)
    try:
        yield url
    finally:
        promote(server)
        assert one(url) == 1


def promote(server: EmbeddedServer) -> None:
    """Let the server end its recovery, if it has not."""
    if server.account.read(server.place.data / "standby.signal") is not None:
        control(server, "promote", "--no-wait")


def control(server: EmbeddedServer, *arguments: str) -> None:
    answer = server.account.run(
        [server.programs(None).path("pg_ctl"), *arguments, "--pgdata", server.place.data], timeout=60
    )
    assert answer.returncode == 0, answer.stdout


def refusal(url: str) -> str:
    """What the server says to somebody who does not wait."""
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError as error:
        return str(error)
    return ""


def one(url: str) -> int:
    with Warehouse(url) as warehouse, warehouse.begin(role=None) as connection:
        return int(connection.execute(text("SELECT 1")).scalar_one())


def test_a_server_in_recovery_is_waited_for(server: EmbeddedServer, recovering: str) -> None:
    answers: list[int | str] = []
    asking = [
        threading.Thread(target=lambda: answers.append(one(recovering))),
        threading.Thread(target=lambda: answers.append(ensure_database(recovering, "another"))),
    ]
    for thread in asking:
        thread.start()
    time.sleep(1.5)
    assert answers == []
    promote(server)
    for thread in asking:
        thread.join(timeout=30)
    assert len(answers) == 2


def test_a_server_that_goes_on_recovering_is_not_blamed_on_the_url(
    recovering: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "PATIENCE_SECONDS", 1.0)
    with pytest.raises(WarehouseUnreachableError, match="has been starting or stopping for 1 s") as caught:
        one(recovering)
    assert "FORECASTLE_DATABASE_URL" not in str(caught.value)
    assert parse_url(recovering).password not in str(caught.value)


def test_a_server_that_recovers_from_the_loss_of_a_process_is_waited_for(server: EmbeddedServer) -> None:
    """Where one of its processes is killed, the server ends all others and replays its log."""
    url = server.up().url
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS filled (i int)")
        connection.execute("INSERT INTO filled SELECT generate_series(1, 1000000)")
        connection.commit()
        killed = connection.info.backend_pid
        os.kill(killed, signal.SIGKILL)
        while not refusal(url):
            time.sleep(0.001)
        assert one(url) == 1


@pytest.mark.parametrize("fault", ["password", "database", "port"])
def test_what_waiting_does_not_mend_is_said_at_once(server: EmbeddedServer, fault: str) -> None:
    url = parse_url(server.up().url)
    wrong = {
        "password": url.set(password="guess"),  # noqa: S106
        "database": url.set(database="absent"),
        "port": url.set(port=9),
    }[fault]
    began = time.monotonic()
    with pytest.raises(WarehouseUnreachableError, match="FORECASTLE_DATABASE_URL"):
        one(wrong.render_as_string(hide_password=False))
    assert time.monotonic() - began < 5
