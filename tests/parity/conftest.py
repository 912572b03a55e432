"""Databases that the tests of a module share, or that start as a copy of one."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import psycopg
import pytest
from sqlalchemy.engine import make_url


@pytest.fixture(scope="module")
def cloned(server_url: str, template: str) -> Iterator[Callable[..., str]]:
    """Give a function that makes a database, a copy of another or else of the migrated template, and gives its URL."""
    names: list[str] = []

    def clone(of: str | None = None) -> str:
        name = f"parity_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {make_url(of).database if of else template}")
        names.append(name)
        return make_url(server_url).set(database=name).render_as_string(hide_password=False)

    yield clone
    with psycopg.connect(server_url, autocommit=True) as connection:
        for name in names:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
