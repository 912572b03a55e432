"""docs/how-to/use-your-own-timescaledb.md, followed word for word, with a superuser's help only where it says so."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from server_for_tests import PREFIX, fast_server, remove

from mlops.exceptions import WarehouseError
from mlops.warehouse import Warehouse
from mlops.warehouse.databases import beside
from mlops.warehouse.migrate import migrate

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "use-your-own-timescaledb.md"
FORECASTLE = Path(sys.executable).with_name("forecastle")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """URL of a server where no role of ours was ever made, as its superuser."""
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}own-"))
    folder.chmod(0o755)
    server = fast_server(folder)
    try:
        yield server.up().url
    finally:
        remove(server) if folder.exists() else shutil.rmtree(folder, ignore_errors=True)


def login(url: str, name: str) -> str:
    """The URL of the same database, logged in as `name` with the page's password."""
    return re.sub(r"//[^@]*@", f"//{name}:secret@", url)


def run(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def blocks(kind: str) -> list[str]:
    return [re.sub(r"(?m)^ +", "", block) for block in re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(), re.DOTALL)]


def typed(block: str, url: str) -> None:
    """Run a block of shell as somebody would type it, on our server instead of the page's."""
    host = url.partition("@")[2].rpartition("/")[0]
    script = block.replace("db.example.com:5432", host).replace("forecastle ", f"{FORECASTLE} ")
    environment = {name: value for name, value in os.environ.items() if name != "FORECASTLE_DATABASE_URL"}
    done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_word_for_word(server: str) -> None:
    make, extension, forecaster, approver, analyst = blocks("sql")
    set_up, build = blocks("sh")
    there = beside(server, "forecasts")
    run(server, *make.strip().splitlines())
    run(there, extension)
    typed(set_up, server)
    run(login(there, "forecastle_admin"), forecaster)
    typed(build, server)
    run(login(there, "forecastle_admin"), approver)
    with psycopg.connect(login(there, "eve")) as connection, pytest.raises(psycopg.errors.NoDataFound):
        connection.execute("SELECT ml.promote('none', 1, 'why')")
    run(login(there, "forecastle_admin"), *analyst.strip().splitlines())
    with psycopg.connect(login(there, "ann")) as connection:
        assert connection.execute("SELECT count(*) FROM ml_forecasts").fetchone() == (0,)
        assert connection.execute("SHOW statement_timeout").fetchone() == ("5min",)
    # The daemon's daily job, on nothing: it comes as far as the checks, which say that there is nothing.
    day = subprocess.run(
        [FORECASTLE, "schedule", "run", "--once", "daily", "--database-url", login(there, "forecaster")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert day.returncode == 1
    assert "The gate is closed" in day.stderr
    # An upgrade is the same command again, as the same login.
    typed(set_up, server)


def test_what_is_missing_is_said_with_the_statement_that_gives_it(server: str) -> None:
    """A login without rights, on a server where others made the roles, led from message to message to the end."""
    run(server, "CREATE ROLE nobody_yet LOGIN PASSWORD 'secret'", "CREATE DATABASE theirs")
    there = beside(server, "theirs")
    asked = []
    for _ in range(6):
        try:
            with Warehouse(login(there, "nobody_yet")) as warehouse:
                migrate(warehouse)
            break
        except WarehouseError as error:
            statement = re.search(r"run: (.*;)", str(error))
            assert statement, error
            asked.append(statement[1])
            run(there, *(each for each in statement[1].split(";") if each.strip()))
    else:
        pytest.fail(f"not migrated after {asked}")
    assert [each.split()[0] for each in asked] == ["ALTER", "GRANT"]
