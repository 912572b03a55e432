"""What every database of the embedded server gets, whoever made it: closed to PUBLIC, and at the TimescaleDB of now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.exceptions import EmbeddedServerError
from mlops.public_rights import open_to_public

if TYPE_CHECKING:
    from psycopg import Connection


def close_to_public(url: str, *, update_timescaledb: bool = False) -> None:
    """Take from PUBLIC, in each database of the server, what harms and nobody needs; `url` is the administrator's.

    Who may enter a database is for its migrations to say, and PUBLIC may not. template1 is closed, too, and so is what
    CREATE DATABASE makes of it. With `update_timescaledb`, at a start, each database uses the TimescaleDB that is
    installed now. Raises EmbeddedServerError where the server does not let us in or our own database cannot use it.
    """
    from psycopg import sql

    with _let_in(url) as connection:
        if update_timescaledb:
            _update_timescaledb(connection)
        _take_from_public(connection)
        names = [
            name
            for (name,) in connection.execute(
                "SELECT datname FROM pg_database WHERE datallowconn AND datname <> current_database() ORDER BY datname"
            )
        ]
        for name in names:
            connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
    for name in names:
        with _let_in(url, name) as connection:
            try:
                if update_timescaledb:
                    _update_timescaledb(connection)
            except EmbeddedServerError:
                continue  # whoever works in it is told so
            _take_from_public(connection)


def _let_in(url: str, database: str | None = None) -> Connection:
    """Return a connection to the database that the URL names, or to another `database` of the same server."""
    import psycopg

    try:
        return psycopg.connect(url, autocommit=True, dbname=database)
    except psycopg.OperationalError as error:
        reason = " ".join(str(error).split())
        raise EmbeddedServerError(
            f"The embedded TimescaleDB runs and does not let us in: {reason}. Where the password is wrong: "
            "`forecastle db down`, move passwords.json away, `forecastle db up`."
        ) from error


def _update_timescaledb(connection: Connection) -> None:
    """Let the database use the TimescaleDB that is there now; it must be the first statement of a session."""
    import psycopg

    try:
        connection.execute("ALTER EXTENSION timescaledb UPDATE")
    except psycopg.errors.UndefinedObject:
        pass  # never migrated: the extension comes with the tables
    except psycopg.Error as error:
        raise EmbeddedServerError(
            f"The data needs another TimescaleDB than the one that is installed: {error.diag.message_primary}."
        ) from error


def _take_from_public(connection: Connection) -> None:
    for routine, _ in connection.execute(open_to_public().encode()).fetchall():
        connection.execute(f"REVOKE EXECUTE ON ROUTINE {routine} FROM PUBLIC".encode())
