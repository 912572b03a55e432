"""Read from the warehouse while the caller's own work goes on.

A statement that adds up whole series keeps one core of the server busy; several at a time keep several busy.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Row

from mlops.domain import Role
from mlops.warehouse.engine import Warehouse

Name = TypeVar("Name", bound=Hashable)

AT_ONCE = 3
"""How many statements run at a time. With two cores, three took a tenth less time than two: the last ones wait less."""

_MOMENT_SECONDS = 0.1
_PATIENCE_SECONDS = 5.0
"""How long the server may take to hear that a statement is no longer wanted."""


class Answer:
    """What a statement gives, once it has run."""

    def __init__(self, future: Future[Sequence[Row[Any]]]) -> None:
        """Take what will have the rows."""
        self._future = future

    @property
    def is_there(self) -> bool:
        """Whether the statement has run, or failed."""
        return self._future.done()

    def rows(self) -> Sequence[Row[Any]]:
        """Wait for the rows and return them. Raises WarehouseError where the statement fails."""
        return self._future.result()


def wait_a_moment(answers: Iterable[Answer]) -> None:
    """Wait a tenth of a second at most for all of `answers`: of little data, they are there by then."""
    wait([each._future for each in answers], timeout=_MOMENT_SECONDS)


@contextmanager
def read_in_background(warehouse: Warehouse, role: Role, queries: Mapping[Name, str]) -> Iterator[dict[Name, Answer]]:
    """Run `queries` (SQL that binds nothing), each in a transaction of its own as `role`, while the block goes on.

    Gives an answer for each. What has not ended with the block is cancelled.
    """
    running: set[Any] = set()
    guard = threading.Lock()
    ended = threading.Event()

    def read(query: str) -> Sequence[Row[Any]]:
        with warehouse.begin(role) as connection:
            driver = connection.connection.driver_connection
            with guard:
                if ended.is_set():
                    return []
                running.add(driver)
            try:
                connection.exec_driver_sql("SET LOCAL jit = off")
                return connection.exec_driver_sql(query).all()
            finally:
                with guard:
                    running.discard(driver)

    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="background")
    try:
        yield {name: Answer(pool.submit(read, query)) for name, query in queries.items()}
    finally:
        with guard:
            ended.set()
            for driver in running:
                driver.cancel_safe(timeout=_PATIENCE_SECONDS)
        pool.shutdown(cancel_futures=True)
