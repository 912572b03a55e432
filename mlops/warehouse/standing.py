"""Give a login what it needs to migrate a database, or say what an administrator has to grant it.

A superuser has it all. On a managed server the login that owns the database is not a superuser. It may create roles,
and grants itself those that it created; the extension, and roles that somebody else created, are for an administrator.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from mlops.domain import Role
from mlops.exceptions import WarehouseError
from mlops.warehouse.queries import sql

_NOT_ALLOWED = {"42501"}  # insufficient privilege
_THERE_ALREADY = {"42710", "23505"}  # made meanwhile by a migration of another database: roles are the server's

_OLDEST = 2, 18
"""The first TimescaleDB whose hypertables have triggers that see all rows of a statement."""


def prepare(connection: Connection) -> None:
    """Have TimescaleDB in the database, our roles on the server, and the login a member of each.

    Raises WarehouseError with the statement that an administrator has to run, where the login may not do it.
    """
    login = connection.execute(sql("warehouse", "login")).one()
    if not login.timescaledb_is_available:
        raise WarehouseError(
            "The server has no TimescaleDB. Install the extension there, or leave out the URL to use the embedded one."
        )
    if not _is_at_least(login.timescaledb_version, _OLDEST):
        raise WarehouseError(
            f"TimescaleDB is {login.timescaledb_version} here, and Forecastle needs {_OLDEST[0]}.{_OLDEST[1]} or later."
            " Install it, and have an administrator run: ALTER EXTENSION timescaledb UPDATE;"
        )
    quote = connection.dialect.identifier_preparer.quote
    if not login.owns_database:
        raise WarehouseError(
            f"Database {login.database} belongs to {login.database_owner}, and only its owner can migrate it. Log in as"
            " its owner, or have an administrator run: "
            f"ALTER DATABASE {quote(login.database)} OWNER TO {quote(login.login)};"
        )
    if not login.timescaledb_is_there:
        wanted = "CREATE EXTENSION timescaledb"
        with _or_ask(f"Login {login.login} may not install TimescaleDB in database {login.database}", f"{wanted};"):
            _run(connection, wanted)
    roles = connection.execute(sql("warehouse", "roles"), {"roles": [role.value for role in Role]}).all()
    missing = [role.name for role in roles if not role.is_there]
    creating = " ".join(f"CREATE ROLE {name};" for name in missing)
    granting = f"GRANT {', '.join(role.value for role in Role)} TO {quote(login.login)}"
    for name in missing:
        with _or_ask(f"Login {login.login} may not create roles", f"{creating} {granting};"):
            _run(connection, f"CREATE ROLE {name} NOLOGIN")
    if not login.is_superuser and not all(role.is_ours for role in roles):
        with _or_ask(f"Login {login.login} may not act as Forecastle's roles, which others made", f"{granting};"):
            _run(connection, granting)


def _is_at_least(version: str, oldest: tuple[int, int]) -> bool:
    numbers = re.match(r"(\d+)\.(\d+)", version)
    return numbers is not None and (int(numbers[1]), int(numbers[2])) >= oldest


def _run(connection: Connection, statement: str) -> None:
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(statement)
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) not in _THERE_ALREADY:
            raise


@contextmanager
def _or_ask(what: str, statement: str) -> Iterator[None]:
    """Turn a refusal into a message that says what an administrator has to run."""
    try:
        yield
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) not in _NOT_ALLOWED:
            raise
        raise WarehouseError(f"{what}. Have an administrator run: {statement}\nThen try again.") from error
