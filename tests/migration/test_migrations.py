"""The migrations: all the way up, and what they leave."""

from __future__ import annotations

from importlib.resources import files

import pytest
from alembic import command
from alembic.config import Config
from databases import database
from sqlalchemy import text

from mlops.domain import Role
from mlops.exceptions import NotMigratedError
from mlops.features import build
from mlops.warehouse import Warehouse
from mlops.warehouse.databases import beside
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


def test_a_database_of_before_is_brought_up_to_date(server_url: str) -> None:
    """At revision 0004 everything that dbt made belonged to the owner, hypertables, views and functions alike."""
    with database(server_url, "template0") as name, Warehouse(beside(server_url, name)) as warehouse:
        with warehouse.begin(role=None) as connection:
            config = Config()
            config.set_main_option("script_location", str(files("migrations")))
            config.attributes["connection"] = connection
            command.upgrade(config, "0004")
        with warehouse.begin(Role.OWNER) as connection:
            for statement in BUILT_BEFORE:
                connection.execute(text(statement))
        with pytest.raises(NotMigratedError, match="at revision 0004"):
            require_current(warehouse)
        migrate(warehouse)
        require_current(warehouse)
        with warehouse.begin(role=None) as connection:
            owners = connection.execute(text(OWNERS)).scalars().all()
        assert owners == ["forecastle_dbt"]
        for reader in (Role.WORKER, Role.ANALYST):
            with warehouse.begin(reader) as connection:
                assert connection.execute(text("SELECT i FROM analytics.kept")).scalar_one() == 1
        assert {model.name for model in build(warehouse).models} > {"features.technical", "analytics.symbols"}


BUILT_BEFORE = (
    "CREATE TABLE features.kept (ts timestamptz NOT NULL, i integer)",
    "SELECT public.create_hypertable('features.kept', public.by_range('ts', INTERVAL '1 year'))",
    "INSERT INTO features.kept VALUES ('2020-01-01', 1)",
    "CREATE VIEW analytics.kept AS SELECT i FROM features.kept",
    "CREATE FUNCTION features.kept_at() RETURNS integer LANGUAGE sql RETURN 1",
    # One whose arguments had other names, which CREATE OR REPLACE cannot change
    "CREATE FUNCTION features.recursive_averages(closes float8 [], highs float8 [], lows float8 [], seed float8 [], "
    "seed_after integer) RETURNS integer LANGUAGE sql RETURN 1",
)
OWNERS = """
    SELECT DISTINCT pg_get_userbyid(owner) FROM (
        SELECT relowner AS owner FROM pg_class WHERE relname = 'kept'
            OR oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'features.kept'::regclass)
        UNION ALL SELECT proowner FROM pg_proc WHERE proname IN ('kept_at', 'latest_so_far', 'recursive_averages')
        UNION ALL SELECT nspowner FROM pg_namespace WHERE nspname IN ('staging', 'features', 'labels', 'analytics')
    ) AS owned
"""
