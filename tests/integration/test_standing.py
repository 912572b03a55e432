"""What a server must have before a database of it can be migrated."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from mlops.exceptions import WarehouseError
from mlops.warehouse import Warehouse, standing
from mlops.warehouse.migrate import migrate


def test_an_old_timescaledb_is_named_with_what_to_run(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    with warehouse.begin(role=None) as connection:
        version = connection.execute(
            text("SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb'")
        ).scalar_one()
    monkeypatch.setattr(standing, "_OLDEST", (99, 1))
    with pytest.raises(WarehouseError, match=rf"TimescaleDB is {version} here, and Forecastle needs 99\.1 or later"):
        migrate(warehouse)
