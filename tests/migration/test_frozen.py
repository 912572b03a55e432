"""What was released stays: the migrations as files, what they make as a catalogue, rows on the way down and up again.

A migration that others have run is never changed: what it should have done is done by the next one. A new one is added
to `released.sha256` when it lands. `catalogue.txt` is what a new database holds; a change to it is read in review, and
written by `PYTHONPATH=tests python tests/migration/test_frozen.py URL` for a migrated database.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import psycopg
import pytest
from databases import take_back
from small_world import World, register
from sqlalchemy import text

from mlops.forecasting import forecast
from mlops.outcomes import resolve
from mlops.warehouse import Warehouse
from mlops.warehouse.migrate import migrate

HERE = Path(__file__).parent
VERSIONS = HERE.parents[1] / "migrations" / "versions"
OURS = "('market', 'staging', 'features', 'labels', 'ml', 'monitoring', 'analytics')"

CATALOGUE = f"""
    SELECT 'schema ' || nspname || ' of ' || pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname IN {OURS}
    UNION ALL
    SELECT format('%s %s.%s of %s', CASE relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'S' THEN 'sequence'
        ELSE relkind::text END, nspname, relname, pg_get_userbyid(relowner))
    FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace
    WHERE nspname IN {OURS} AND relkind IN ('r', 'v', 'S', 'p')
    UNION ALL
    SELECT format('column %s.%s.%s %s%s%s', nspname, relname, attname, format_type(atttypid, atttypmod),
        CASE WHEN attnotnull THEN ' not null' ELSE '' END, coalesce(' default ' || pg_get_expr(adbin, adrelid), ''))
    FROM pg_attribute JOIN pg_class AS c ON c.oid = attrelid JOIN pg_namespace AS n ON n.oid = relnamespace
    LEFT JOIN pg_attrdef AS d ON d.adrelid = attrelid AND d.adnum = attnum
    WHERE nspname IN {OURS} AND relkind IN ('r', 'v', 'p') AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT format('constraint %s.%s.%s %s', nspname, relname, conname, pg_get_constraintdef(con.oid))
    FROM pg_constraint AS con JOIN pg_class AS c ON c.oid = conrelid JOIN pg_namespace AS n ON n.oid = relnamespace
    WHERE nspname IN {OURS} AND contype <> 'n'
    UNION ALL
    SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname IN {OURS}
    UNION ALL
    SELECT 'trigger ' || pg_get_triggerdef(t.oid)
    FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = tgrelid JOIN pg_namespace AS n ON n.oid = relnamespace
    WHERE nspname IN {OURS} AND NOT tgisinternal
    UNION ALL
    SELECT format('function %s.%s(%s) of %s%s, %s, body %s', nspname, proname,
        pg_get_function_identity_arguments(p.oid),
        pg_get_userbyid(proowner), CASE WHEN prosecdef THEN ', security definer' ELSE '' END,
        coalesce(array_to_string(proconfig, ' '), 'search path not set'), md5(prosrc))
    FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = pronamespace WHERE nspname IN {OURS}
    UNION ALL
    SELECT format('grant on %s.%s to %s: %s', nspname, relname, grantee::regrole,
        string_agg(privilege_type, ', ' ORDER BY privilege_type))
    FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace, aclexplode(relacl)
    WHERE nspname IN {OURS} AND relkind IN ('r', 'v', 'S', 'p') AND grantee <> relowner AND grantee <> 0
    GROUP BY nspname, relname, grantee
    UNION ALL
    SELECT format('hypertable %s.%s by %s, %s', d.hypertable_schema, d.hypertable_name, d.column_name, d.time_interval)
    FROM timescaledb_information.dimensions AS d WHERE d.hypertable_schema IN {OURS}
"""


def catalogue(url: str) -> str:
    """Return what the schemas of the database hold, a line each, sorted."""
    with psycopg.connect(url) as connection:
        lines = sorted(" ".join(row[0].split()) for row in connection.execute(CATALOGUE))
    return "".join(f"{line}\n" for line in lines)


def test_released_migrations_are_as_they_were() -> None:
    released = dict(reversed(line.split()) for line in (HERE / "released.sha256").read_text().splitlines())
    files = sorted(file for file in VERSIONS.glob("*.py") if file.name != "__init__.py")
    assert {file.name for file in files} == set(released)
    for file in files:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        assert digest == released[file.name], f"{file.name} was released: add a migration instead of changing it"


def test_a_new_database_holds_what_the_snapshot_says(warehouse: Warehouse) -> None:
    assert catalogue(warehouse.plain_url).splitlines() == (HERE / "catalogue.txt").read_text().splitlines()


def test_functions_pin_their_search_path(featured: Warehouse) -> None:
    """All but the one that runs a statement of its caller: the names in it are the caller's, and so are the rights."""
    with featured.begin(role=None) as connection:
        unpinned = connection.execute(
            text(
                "SELECT nspname || '.' || proname FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = pronamespace "
                f"WHERE nspname IN {OURS} AND prokind <> 'a' "
                "AND coalesce(array_to_string(proconfig, ' '), '') NOT LIKE '%search_path=pg_catalog, pg_temp%'"
            )
        )
        assert unpinned.scalars().all() == ["staging.change_when_free"]


NEWER = {
    "0010": ("ml.forecast_runs", "ml.refusals", "market.universes"),
}
"""Tables that older revisions have no place for: what they held is gone on the way down."""

FORGOTTEN = {
    "ml.predictions": ["run_id"],
    "ml.models": ["universe", "created_at"],
    "ml.specs": ["created_at"],
    "ml.versions": ["n_symbols", "thresholds"],
}
"""What an older revision does not know of rows that it keeps."""

ROWS = """
    SELECT table_schema || '.' || table_name AS name FROM information_schema.tables
    WHERE table_schema IN ('market', 'ml', 'features', 'labels', 'monitoring') AND table_type = 'BASE TABLE'
        AND table_name <> 'locks'
"""


@pytest.mark.parametrize("revision", ["0008", "0006", "0004"])
def test_rows_are_kept_on_the_way_down_and_up_again(warehouse: Warehouse, revision: str) -> None:
    world = World(warehouse).build()
    register(warehouse, world.close_of(59))
    for day in range(60, 90):
        forecast(warehouse, world.close_of(day))
    resolve(warehouse, world.close_of(89))

    def content() -> dict[str, list[str]]:
        with warehouse.begin(role=None) as connection:
            tables = set(connection.execute(text(ROWS)).scalars()) - {
                name for names in NEWER.values() for name in names
            }
            return {
                name: sorted(
                    connection.execute(
                        text(f"SELECT CAST(to_jsonb(t) - CAST(:unknown AS text []) AS text) FROM {name} AS t"),
                        {"unknown": FORGOTTEN.get(name, [])},
                    ).scalars()
                )
                for name in tables
            }

    before = content()
    assert len(before["ml.predictions"]) > 300
    assert len(before["ml.outcomes"]) > 200
    schema = catalogue(warehouse.plain_url)
    take_back(warehouse, revision)
    migrate(warehouse)
    assert content() == before
    assert catalogue(warehouse.plain_url) == schema


if __name__ == "__main__":
    (HERE / "catalogue.txt").write_text(catalogue(sys.argv[1]))
