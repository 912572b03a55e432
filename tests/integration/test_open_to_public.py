"""Functions that harm, on a server of one's own: taken from PUBLIC by a superuser's migration, else said."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import administer

from mlops.warehouse.databases import beside
from mlops.warehouse.engine import parse_url

FORECASTLE = Path(sys.executable).with_name("forecastle")


@pytest.fixture
def owned(server_url: str) -> Iterator[tuple[str, str]]:
    """A bare database of a login that is no superuser: the URL of the login, and the superuser's."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    administer(
        server_url,
        f"CREATE ROLE {name} LOGIN PASSWORD 'x' CREATEROLE",
        f"GRANT forecastle_owner, forecastle_dbt, forecastle_worker, forecastle_approver, forecastle_analyst TO {name}",
        f"CREATE DATABASE {name} OWNER {name} TEMPLATE template0",
    )
    there = beside(server_url, name)
    administer(there, "CREATE EXTENSION timescaledb")
    try:
        login = parse_url(there).set(drivername="postgresql", username=name, password="x")  # noqa: S106
        yield login.render_as_string(hide_password=False), there
    finally:
        administer(server_url, f"DROP DATABASE {name} WITH (FORCE)", f"DROP ROLE {name}")


def migrate(url: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [FORECASTLE, "db", "migrate", "--database-url", url], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done


def test_what_a_login_cannot_take_away_is_said_and_a_superuser_takes_it(template: str, owned: tuple[str, str]) -> None:
    login, superuser = owned
    said = migrate(login).stderr
    assert "everybody who may enter the database can call" in said
    assert "run `forecastle db migrate` once as one" in said
    assert migrate(superuser).stderr == ""
    assert migrate(login).stderr == ""
