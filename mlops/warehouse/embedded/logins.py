"""Logins of the embedded server, one for each role.

The roles of the migrations cannot log in; on a server of one's own an administrator grants them as they see fit. On the
embedded server each but dbt's has one login, `owner`, `worker` and `analyst`, with a password of its own:

- it is a member of its role and of nothing else (the worker's of dbt's role, too, since jobs run dbt), so there is
  nothing stronger to change to: SET ROLE to another role is refused, and RESET ROLE leads back to the role or to the
  bare login, which has what the role has;
- its sessions begin in the role (ALTER ROLE ... SET role), so that what `owner` makes belongs to forecastle_owner;
- large objects, which PostgreSQL lets anybody make, are for the administrator alone;
- the analyst's transactions are read-only unless it says otherwise. That is courtesy: what keeps it from writing is
  that it has been granted SELECT alone.
"""

from __future__ import annotations

from mlops.domain import Role
from mlops.exceptions import NotMigratedError
from mlops.warehouse.embedded.place import locked
from mlops.warehouse.embedded.progress import Progress, silent
from mlops.warehouse.embedded.server import EmbeddedServer

_NO_LARGE_OBJECTS = """
REVOKE EXECUTE ON FUNCTION
    pg_catalog.lo_creat(integer), pg_catalog.lo_create(oid), pg_catalog.lo_from_bytea(oid, bytea),
    pg_catalog.lo_put(oid, bigint, bytea), pg_catalog.lowrite(integer, bytea), pg_catalog.lo_truncate(integer, integer),
    pg_catalog.lo_truncate64(integer, bigint), pg_catalog.lo_unlink(oid)
FROM PUBLIC
"""


def role_url(server: EmbeddedServer, role: Role, progress: Progress = silent) -> str:
    """Return the URL that logs in as `role`, making the login where it is missing; starts the server if need be.

    Raises NotMigratedError before the migrations have made the role, and EmbeddedServerError as `up` does.
    """
    import psycopg
    from psycopg import sql

    admin = server.up(progress).url
    login = role.name.lower()
    with locked(server.place.folder / "lock", progress):
        word = server.place.password(login)
        with psycopg.connect(admin) as connection:
            known = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
            if role.value not in known:
                raise NotMigratedError
            name, group = sql.Identifier(login), sql.Identifier(role.value)
            if login not in known:
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(name))
            connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(name, sql.Literal(word)))
            connection.execute(sql.SQL("GRANT {} TO {}").format(group, name))
            if role is Role.WORKER:
                connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(Role.DBT.value), name))
            connection.execute(sql.SQL("ALTER ROLE {} SET role = {}").format(name, sql.Literal(role.value)))
            connection.execute(_NO_LARGE_OBJECTS)
            if role is Role.ANALYST:
                connection.execute(sql.SQL("ALTER ROLE {} SET default_transaction_read_only = on").format(name))
    _, _, where = admin.rpartition("@")
    return f"postgresql://{login}:{word}@{where}"
