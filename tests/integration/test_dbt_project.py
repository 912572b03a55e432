"""dbt_project/ runs by itself, what it makes survives being made again, and the runner says what went wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from typer.testing import CliRunner

from mlops.cli.features import features_app
from mlops.domain import Role
from mlops.exceptions import FeaturesError, NotMigratedError, WarehouseError, WarehouseUnreachableError
from mlops.features import build
from mlops.warehouse import Warehouse

PROJECT = Path(__file__).parents[2] / "dbt_project"


def dbt(url: str, place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run dbt as a person would, in the project's folder, with the database in the environment."""
    target = make_url(url)
    environment = {
        **os.environ,
        "FORECASTLE_DBT_HOST": target.host or "",
        "FORECASTLE_DBT_PORT": str(target.port),
        "FORECASTLE_DBT_USER": target.username or "",
        "FORECASTLE_DBT_PASSWORD": target.password or "",
        "FORECASTLE_DBT_DBNAME": target.database or "",
        "DBT_TARGET_PATH": str(place / "target"),
        "DBT_LOG_PATH": str(place / "logs"),
    }
    command = [str(Path(sys.executable).with_name("dbt")), *arguments]
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)


def views(warehouse: Warehouse) -> set[str]:
    with warehouse.begin() as connection:
        rows = connection.execute(
            text("SELECT schemaname || '.' || viewname FROM pg_views WHERE viewowner = 'forecastle_dbt'")
        )
        return set(rows.scalars())


def test_dbt_build_passes_by_itself_on_an_empty_database(warehouse: Warehouse, tmp_path: Path) -> None:
    """Models, data tests and unit tests; a second feature set then rebuilds the table without being told."""
    outcome = dbt(warehouse.plain_url, tmp_path, "build")
    assert outcome.returncode == 0, outcome.stdout[-3000:]
    assert "unit tests" in outcome.stdout
    assert "ERROR=0" in outcome.stdout
    assert not (PROJECT / "target").exists()
    with warehouse.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM features.technical")).scalar_one() == 0


def test_another_feature_set_rebuilds_the_table_and_keeps_the_views(featured: Warehouse, tmp_path: Path) -> None:
    before = views(featured)
    assert "analytics.feature_history" in before
    outcome = dbt(
        featured.plain_url, tmp_path, "run", "--select", "technical", "--vars", "feature_set_version: technical-2"
    )
    assert outcome.returncode == 0, outcome.stdout[-3000:]
    with featured.begin() as connection:
        versions = connection.execute(
            text("SELECT feature_set_version, count(*) FROM features.technical GROUP BY feature_set_version")
        ).all()
    assert versions == [("technical-2", 11_904)]
    assert views(featured) == before


def test_a_full_refresh_keeps_views_hypertables_and_rights(featured: Warehouse) -> None:
    def state() -> list[tuple[object, ...]]:
        with featured.begin(Role.DBT) as connection:
            return [
                tuple(row)
                for row in connection.execute(
                    text(
                        "SELECT c.oid::regclass::text, c.relkind, c.relowner::regrole::text, c.relacl::text, "
                        "       (SELECT count(*) FROM pg_index WHERE indrelid = c.oid), d.num_dimensions "
                        "FROM pg_class c LEFT JOIN timescaledb_information.hypertables d "
                        "  ON (d.hypertable_schema || '.' || d.hypertable_name)::regclass = c.oid "
                        "WHERE c.relnamespace::regnamespace::text IN ('staging', 'features', 'labels', 'analytics') "
                        "  AND c.relkind IN ('r', 'v') ORDER BY 1"
                    )
                )
            ]

    before = state()
    of_technical = next(row for row in before if row[0] == "features.technical")
    assert (of_technical[1], of_technical[2], of_technical[5]) == ("r", "forecastle_dbt", 1)
    result = build(featured, full_refresh=True)
    assert result.model("features.technical").rows == 11_904
    assert state() == before
    with featured.begin(Role.WORKER) as connection:
        for relation in ("features.technical", "labels.forward", "labels.by_horizon", "staging.stg_bars"):
            assert connection.execute(text(f"SELECT count(*) FROM {relation}")).scalar_one() > 10_000
        assert connection.execute(text("SELECT count(*) FROM features.technical_at(1, 'd1', now())")).scalar_one() == 1
    with pytest.raises(WarehouseError, match="permission denied"), featured.begin(Role.WORKER) as connection:
        connection.execute(text("DELETE FROM features.technical"))
    with pytest.raises(WarehouseError, match="permission denied"), featured.begin(Role.ANALYST) as connection:
        connection.execute(text("SELECT 1 FROM features.technical"))


def test_a_table_of_another_shape_is_replaced(featured: Warehouse) -> None:
    """As after an upgrade that adds a column: what stands on the table is made again in the same run."""
    before = views(featured)
    with featured.begin(Role.DBT) as connection:
        connection.execute(text("ALTER TABLE features.technical DROP COLUMN rsi_14 CASCADE"))
        connection.execute(text("UPDATE features.watermarks SET shape = 'another'"))
    assert views(featured) < before
    build(featured)
    assert views(featured) == before
    with featured.begin() as connection:
        assert connection.execute(text("SELECT count(rsi_14) FROM features.technical")).scalar_one() == 11_904


def test_a_view_whose_columns_changed_is_made_anew_and_others_stay(featured: Warehouse) -> None:
    before = views(featured)
    with featured.begin(Role.DBT) as connection:
        connection.execute(text("DROP VIEW staging.stg_earnings CASCADE"))
        connection.execute(text("CREATE VIEW staging.stg_earnings AS SELECT 1 AS something_else"))
    build(featured)
    assert views(featured) == before
    with featured.begin() as connection:
        connection.execute(text("SELECT announced_on FROM staging.stg_earnings"))


def test_a_view_that_is_missing_is_made_again(featured: Warehouse) -> None:
    before = views(featured)
    assert [model.name for model in build(featured).models if model.rows is None]
    assert not [model.name for model in build(featured).models if model.rows is None]
    with featured.begin(Role.DBT) as connection:
        connection.execute(text("DROP VIEW staging.stg_symbols CASCADE"))
    assert views(featured) < before
    build(featured)
    assert views(featured) == before


def test_a_failed_view_is_named(featured: Warehouse) -> None:
    with featured.begin(Role.OWNER) as connection:
        connection.execute(text("ALTER TABLE market.earnings RENAME COLUMN quarter TO fiscal_quarter"))
    with pytest.raises(FeaturesError) as caught:
        build(featured, select="stg_earnings")
    assert str(caught.value).startswith('dbt could not build stg_earnings: column "quarter" does not exist')
    assert caught.value.about == {"model": "stg_earnings"}


def test_a_database_that_is_not_there_or_bare_is_said_to_be(server_url: str) -> None:
    nowhere = make_url(server_url).set(database="no_such_database").render_as_string(hide_password=False)
    with Warehouse(nowhere) as warehouse, pytest.raises(WarehouseUnreachableError):
        build(warehouse)
    bare = make_url(server_url).set(database="postgres").render_as_string(hide_password=False)
    with Warehouse(bare) as warehouse, pytest.raises(NotMigratedError):
        build(warehouse)


def test_the_environment_is_left_as_it_was(featured: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORECASTLE_DBT_HOST", "somewhere.else")
    before = dict(os.environ)
    build(featured)
    assert dict(os.environ) == before


def test_the_command_says_what_it_wrote(featured: Warehouse) -> None:
    with psycopg.connect(featured.plain_url) as connection:
        connection.execute("UPDATE market.bars SET recorded_at = clock_timestamp() WHERE ts > '2013-02-28'")
    said = CliRunner().invoke(features_app, ["build", "--database-url", featured.plain_url])
    assert said.exit_code == 0, said.output
    assert "features.technical: 10 rows written" in said.output
    as_json = CliRunner().invoke(features_app, ["build", "--json", "--database-url", featured.plain_url])
    assert as_json.exit_code == 0, as_json.output
    assert json.loads(as_json.output)["rows"] == 0
