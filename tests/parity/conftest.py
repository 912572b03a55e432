"""Databases that the tests of a module share, or that start as a copy of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from databases import database
from sqlalchemy.engine import make_url

from mlops.warehouse.databases import beside


@pytest.fixture(scope="module")
def cloned(server_url: str, template: str) -> Iterator[Callable[..., str]]:
    """Give a function that makes a database, a copy of another or else of the migrated template, and gives its URL."""
    with ExitStack() as databases:

        def clone(of: str | None = None) -> str:
            name = databases.enter_context(database(server_url, (of and make_url(of).database) or template))
            return beside(server_url, name)

        yield clone
