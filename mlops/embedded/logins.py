"""Logins of the embedded server, one for each role.

The roles of the migrations cannot log in; on a server of one's own an administrator grants them as they see fit. On the
embedded server each but dbt's has one login, `owner`, `worker` and `analyst`, with a password of its own:

- it is a member of its role and of nothing else (the worker's of dbt's role, too, since jobs run dbt), so there is
  nothing stronger to change to: SET ROLE to another role is refused, and RESET ROLE leads back to the role or to the
  bare login, which has what the role has;
- its sessions begin in the role (ALTER ROLE ... SET role), so that what `owner` makes belongs to forecastle_owner;
- the analyst's is bounded (see `_ANALYST`), and the worker's gets in when ordinary connections are used up.

PostgreSQL lets every login change its own password and its own settings, and nothing can keep it from that. So both are
put back whenever a URL is asked for and at every `forecastle db up`: whoever shares the login gets in again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlops.domain import Role
from mlops.embedded.databases import close_to_public
from mlops.embedded.place import Place, locked
from mlops.embedded.progress import Progress, silent
from mlops.embedded.server import EmbeddedServer
from mlops.embedded.sizing import ANALYST_CONNECTIONS, temp_file_limit, this_machine
from mlops.exceptions import NotMigratedError

if TYPE_CHECKING:
    from psycopg import Connection

_ROLES = {
    Role.OWNER: (Role.OWNER,),
    Role.WORKER: (Role.WORKER, Role.DBT),
    Role.ANALYST: (Role.ANALYST,),
}
"""What each login is a member of; its sessions begin in the first."""

_ANALYST = {
    # Courtesy: what keeps the analyst from writing is that it has been granted SELECT alone.
    "default_transaction_read_only": "on",
    # A query over all forecasts and outcomes takes seconds, an extract by a BI tool minutes.
    "statement_timeout": "15min",
    # A view that is being read cannot be replaced; the daily job waits ten minutes for that.
    "idle_in_transaction_session_timeout": "5min",
    # Only a superuser can change these two. Each error would put its whole statement into the server's log.
    "log_min_messages": "fatal",
    "log_min_error_statement": "panic",
}
"""Settings that the analyst's sessions begin with. The timeouts stop mistakes: a session may change them for itself."""

_RESERVED = "pg_use_reserved_connections"  # from PostgreSQL 16 on


def role_url(server: EmbeddedServer, role: Role, progress: Progress = silent) -> str:
    """Return the URL that logs in as `role`, making the login where it is missing; starts the server if need be.

    The login's password and settings are what they should be then. Raises NotMigratedError before the migrations have
    made the role, and EmbeddedServerError as `up` does.
    """
    admin = server.up(progress).url
    with locked(server.folder / "lock", progress):
        _put_right(admin, server.place, {role: _ROLES[role]})
        word = server.place.password(_login(role))
    _, _, where = admin.rpartition("@")
    return f"postgresql://{_login(role)}:{word}@{where}"


def put_logins_right(server: EmbeddedServer, progress: Progress = silent) -> None:
    """Give the logins that have been made their passwords, settings and limits again; starts the server if need be."""
    admin = server.up(progress).url
    with locked(server.folder / "lock", progress):
        made = server.place.known_passwords()
        _put_right(admin, server.place, {role: groups for role, groups in _ROLES.items() if _login(role) in made})


def _login(role: Role) -> str:
    return role.name.lower()


def _put_right(admin: str, place: Place, logins: Mapping[Role, tuple[Role, ...]]) -> None:
    import psycopg

    close_to_public(admin)
    with psycopg.connect(admin) as connection:
        known = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
        for role, groups in logins.items():
            if not known.issuperset(groups):
                raise NotMigratedError
            name = _login(role)
            _reset(connection, name, place.password(name), is_there=name in known)
            granted = [*groups, *([_RESERVED] if role is not Role.ANALYST and _RESERVED in known else [])]
            _grant(connection, name, granted)
            settings = {"role": groups[0].value}
            if role is Role.ANALYST:
                settings |= _ANALYST | {"temp_file_limit": temp_file_limit(this_machine(place.cluster))}
            _set(connection, name, settings)


def _reset(connection: Connection, login: str, word: str, *, is_there: bool) -> None:
    """Make the login, or take all settings from it that it has, in whichever database; give it its password."""
    from psycopg import sql

    name = sql.Identifier(login)
    if not is_there:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(name))
    limit = ANALYST_CONNECTIONS if login == _login(Role.ANALYST) else -1
    connection.execute(
        sql.SQL("ALTER ROLE {} PASSWORD {} CONNECTION LIMIT {}").format(name, sql.Literal(word), sql.Literal(limit))
    )
    connection.execute(sql.SQL("ALTER ROLE {} RESET ALL").format(name))
    changed = connection.execute(
        "SELECT datname FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase "
        "WHERE setrole = (SELECT oid FROM pg_roles WHERE rolname = %s)",
        (login,),
    ).fetchall()
    for (database,) in changed:
        connection.execute(sql.SQL("ALTER ROLE {} IN DATABASE {} RESET ALL").format(name, sql.Identifier(database)))


def _grant(connection: Connection, login: str, roles: list[str]) -> None:
    from psycopg import sql

    groups = sql.SQL(", ").join(map(sql.Identifier, roles))
    connection.execute(sql.SQL("GRANT {} TO {}").format(groups, sql.Identifier(login)))


def _set(connection: Connection, login: str, settings: Mapping[str, str]) -> None:
    from psycopg import sql

    for setting, value in settings.items():
        statement = sql.SQL("ALTER ROLE {} SET {} = {}")
        connection.execute(statement.format(sql.Identifier(login), sql.Identifier(setting), sql.Literal(value)))
