"""Locks by name, as rows of `monitoring.locks`: only whoever may write there can hold one, or get in the way.

PostgreSQL's advisory locks are for everybody who is connected, the analyst included: anybody could hold one that a job
waits for. A row's lock ends with the transaction that took it, however that ends.
"""

from __future__ import annotations

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from mlops.exceptions import LockTimeoutError
from mlops.warehouse.queries import sql

_LOCK_NOT_AVAILABLE = "55P03"


def take_lock(connection: Connection, name: str) -> None:
    """Wait until nobody else holds the lock `name`, then hold it until the transaction of `connection` ends.

    Raises LockTimeoutError, naming who holds it, where that takes longer than the session's lock_timeout; the
    transaction is of no more use then.
    """
    try:
        connection.execute(sql("warehouse", "lock_make"), {"name": name})
        connection.execute(sql("warehouse", "lock_take"), {"name": name})
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
            raise
        with connection.engine.connect() as another:
            holder = another.execute(sql("warehouse", "lock_holder"), {"name": name}).one_or_none()
        who = "another process"
        if holder:
            who += f" (of {holder.login}, since {holder.since}, server process {holder.pid})"
        raise LockTimeoutError(
            f"{name} is being worked on by {who}, which does not end. Wait for it, or end it, and run the command "
            "again.",
            lock=name,
            holder=who,
        ) from error
