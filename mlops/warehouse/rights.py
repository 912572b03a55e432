"""The rights that a database should have: each migration sets them again, since they can be lost.

PostgreSQL and TimescaleDB let everybody call some functions that do harm and that readers do not need; an update of
TimescaleDB grants its own again. And any member of a role can drop the default privileges by which the role reads
future tables (`DROP OWNED BY forecastle_analyst`).
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from mlops import public_rights
from mlops.warehouse.engine import Warehouse
from mlops.warehouse.queries import sql


def set_rights(connection: Connection) -> None:
    """Take from PUBLIC what the login may take, and give back what roles are to read."""
    for routine, is_ours in connection.execute(text(public_rights.open_to_public())).all():
        if is_ours:
            connection.exec_driver_sql(f"REVOKE EXECUTE ON ROUTINE {routine} FROM PUBLIC")
    connection.execute(sql("warehouse", "give_reading"))


def open_to_public(warehouse: Warehouse) -> list[str]:
    """Return the functions that everybody who may enter the database can call, and that do others harm."""
    with warehouse.begin(role=None) as connection:
        return list(connection.execute(text(public_rights.open_to_public())).scalars())
