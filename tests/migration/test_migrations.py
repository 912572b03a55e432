"""The migrations: all the way up, and what they leave."""

from __future__ import annotations

from sqlalchemy import text

from mlops.domain import Role
from mlops.warehouse import Warehouse
from mlops.warehouse.migrate import migrate, require_current


def test_migrate_twice_is_migrate_once(warehouse: Warehouse) -> None:
    assert migrate(warehouse) == migrate(warehouse)
    require_current(warehouse)


def test_search_path_begins_with_analytics(database_url: str) -> None:
    with Warehouse(database_url) as warehouse:
        migrate(warehouse)
    with Warehouse(database_url) as warehouse, warehouse.begin(role=None) as connection:
        assert connection.execute(text("SHOW search_path")).scalar_one() == "analytics, public"


def test_worker_cannot_alter_or_drop(warehouse: Warehouse) -> None:
    with warehouse.begin(Role.WORKER) as connection:
        owned = connection.execute(
            text("SELECT count(*) FROM pg_class WHERE relowner = 'forecastle_worker'::regrole")
        ).scalar_one()
    assert owned == 0
