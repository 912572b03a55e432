"""Connections and transactions, each in the name of a role.

A `Warehouse` is made where a command or a job starts and is handed on; nothing is opened when it is made. Leaving
`begin` with an exception rolls back: what is half done never shows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any, Self

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, OperationalError

from mlops.domain import Role
from mlops.exceptions import (
    DataRefusedError,
    LockTimeoutError,
    NotMigratedError,
    SettingsError,
    WarehouseError,
    WarehouseUnreachableError,
)
from mlops.warehouse.connecting import wait_for_server
from mlops.warehouse.locks import take_lock

_UNDEFINED = {"42P01", "3F000", "42704", "22023"}  # table, schema, object; role that SET ROLE does not find
_FULL = {"53100", "58030"}
_LIMIT_EXCEEDED = "54"  # the class of codes for a row or a value that is too large
_FORBIDDEN_ROLE = re.compile(r'permission denied to set role "(\w+)"')

_PATIENCE = timedelta(minutes=10)
"""How long a statement waits for a lock, so that nothing hangs without limit: longer than any build or ingest takes."""

_GRACE = timedelta(seconds=2)
"""How long a lock may still be that of a worker that was killed: far longer than the server needs to see it."""


class Warehouse:
    """One database. Safe to share between threads; close it when done."""

    def __init__(self, url: str, *, patience: timedelta = _PATIENCE) -> None:
        """Take a PostgreSQL URL; `postgres://` and `postgresql://` are the same. Raises SettingsError if it is none.

        `patience` is how long a statement waits for a lock that another holds, before it fails.
        """
        self.url: URL = parse_url(url)
        self.engine: Engine = wait_for_server(create_engine(self.url, pool_size=2, max_overflow=8, pool_pre_ping=True))
        settings = (
            f"SET lock_timeout = {round(patience / timedelta(milliseconds=1))}",
            # A job's transaction may rest while the job works elsewhere, whatever the server's settings are.
            "SET idle_in_transaction_session_timeout = 0",
        )

        @event.listens_for(self.engine, "connect")
        def _begin_session(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own
            connection.execute("; ".join(settings))
            connection.commit()

    def __enter__(self) -> Self:
        """Return the warehouse itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close all its connections."""
        self.close()

    def close(self) -> None:
        """Close all connections that are not in use."""
        self.engine.dispose()

    @property
    def plain_url(self) -> str:
        """The URL with its password, as psql, dbt and other programs take it."""
        return self.url.set(drivername="postgresql").render_as_string(hide_password=False)

    @contextmanager
    def begin(self, role: Role | None = Role.WORKER) -> Iterator[Connection]:
        """Open a transaction in the name of `role` (None: whoever logged in); commit on leaving, roll back on error.

        Raises WarehouseUnreachableError, NotMigratedError, or WarehouseError for what the database refuses.
        """
        with translated_errors(self.url), self.engine.begin() as connection:
            if role is not None:
                connection.execute(text(f"SET LOCAL ROLE {role.value}"))
            yield connection

    @contextmanager
    def lock(self, name: str, on_wait: Callable[[str], None] | None = None) -> Iterator[bool]:
        """Hold the lock `name` for the length of the block, across transactions; give False where another holds it.

        The lock belongs to a transaction on a connection of its own, so that a worker that is killed lets go of it. The
        server takes a moment to see that the worker is gone; whoever starts in its place waits that moment, and no
        longer. With `on_wait` it then calls that with who holds the lock, and waits on, for as long as a statement
        waits; where that is not long enough, it raises LockTimeoutError.
        """
        with ExitStack() as stack:
            connection = stack.enter_context(self.begin())
            connection.execute(text(f"SET LOCAL lock_timeout = {round(_GRACE / timedelta(milliseconds=1))}"))
            try:
                take_lock(connection, name)
                held = True
            except LockTimeoutError as error:
                connection.rollback()
                held = False
                if on_wait is not None:
                    on_wait(error.holder)
                    take_lock(stack.enter_context(self.begin()), name)
                    held = True
            yield held


def parse_url(url: str) -> URL:
    """Return `url` for the psycopg driver. Raises SettingsError where it is not the URL of a PostgreSQL database."""
    try:
        parsed = make_url(url.replace("postgres://", "postgresql://", 1))
    except (ArgumentError, ValueError) as error:
        raise SettingsError(
            "The database URL cannot be read. Write it as postgresql://user:password@host:5432/database."
        ) from error
    if "@" in (parsed.host or ""):
        raise SettingsError("The database URL has an @ too many. In a password, write @ as %40.")
    if parsed.get_backend_name() != "postgresql":
        raise SettingsError(
            f"The database URL is for {parsed.get_backend_name()}, and only PostgreSQL with TimescaleDB will do. "
            "Write it as postgresql://user:password@host:5432/database."
        )
    return parsed.set(drivername="postgresql+psycopg")


@contextmanager
def translated_errors(url: URL) -> Iterator[None]:
    """Turn the driver's errors into ours, each saying what to do."""
    try:
        yield
    except OperationalError as error:
        if error.connection_invalidated or getattr(error.orig, "sqlstate", None) is None:
            where = f"{url.host or 'localhost'}:{url.port or 5432}, database {url.database or url.username}"
            reason = " ".join(str(error.orig).split())
            if "FATAL:" in reason:
                raise WarehouseUnreachableError(
                    f"The server at {where} refuses the connection ({reason.partition('FATAL:')[2].strip()[:200]}). "
                    "Correct the URL (--database-url or FORECASTLE_DATABASE_URL), or what the server allows."
                ) from error
            raise WarehouseUnreachableError(
                f"No database answers at {where} ({reason[:200]}). "
                "Correct the URL (--database-url or FORECASTLE_DATABASE_URL); without one the embedded server is used."
            ) from error
        raise _translated(error) from error
    except DBAPIError as error:
        raise _translated(error) from error


def _translated(error: DBAPIError) -> WarehouseError:
    state = getattr(error.orig, "sqlstate", None)
    message = " ".join(str(error.orig).split())[:300]
    if state in _UNDEFINED:
        return NotMigratedError(
            f"The database lacks something ({message}). Run `forecastle db migrate`, then try again."
        )
    forbidden = _FORBIDDEN_ROLE.search(message)
    if forbidden:
        return WarehouseError(
            f"This login may not act as {forbidden[1]}, as which this has to be done (permission denied). Log in as a "
            f"member of it, or have an administrator run: GRANT {forbidden[1]} TO ...;"
        )
    if state in _FULL:
        return WarehouseError(f"The database's disk is full or broken ({message}). Free some space and run it again.")
    if isinstance(error, DataError | IntegrityError) or (state or "").startswith(_LIMIT_EXCEEDED):
        return DataRefusedError(f"The database refused the data: {message}")
    return WarehouseError(f"The database refused: {message}")
