"""dbt_project/ runs by itself, what it makes survives being made again, and the runner says what went wrong."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import forked
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
EXAMPLES = {"forecast_accuracy": 2, "alerts": 2, "calibration": 1, "schedule": 1, "model_history": 1}
"""How many examples, unit tests of dbt, each of these views has."""


def dbt(url: str, place: Path, *arguments: str, folder: Path = PROJECT) -> subprocess.CompletedProcess[str]:
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
    return forked.run("dbt.cli.main:cli", [("dbt", *arguments)], folder, environment)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where dbt keeps what it read of the project, for all tests that change nothing in it."""
    return tmp_path_factory.mktemp("dbt")


@pytest.fixture
def database_name(monkeypatch: pytest.MonkeyPatch) -> str:
    """One name for the databases of all tests: for another, dbt would read the project anew."""
    # By their URLs a process knows the databases that have all views.
    monkeypatch.setattr(sys.modules["mlops.features.build"], "_complete", set())
    return f"test_dbt_{os.getpid()}"


def views(warehouse: Warehouse) -> set[str]:
    with warehouse.begin() as connection:
        rows = connection.execute(
            text("SELECT schemaname || '.' || viewname FROM pg_views WHERE viewowner = 'forecastle_dbt'")
        )
        return set(rows.scalars())


def written_by_dbt() -> dict[str, float]:
    """When what dbt writes into the project was written: a developer's own run leaves it there."""
    return {str(path): path.stat().st_mtime for path in sorted((PROJECT / "target").rglob("*"))}


def test_dbt_build_passes_by_itself_on_an_empty_database(warehouse: Warehouse, place: Path) -> None:
    """Models, data tests and unit tests; a second feature set then rebuilds the table without being told."""
    before = written_by_dbt()
    outcome = dbt(warehouse.plain_url, place, "build", "--no-use-colors")
    assert outcome.returncode == 0, outcome.stdout[-3000:]
    for view, n_examples in EXAMPLES.items():
        assert outcome.stdout.count(f" PASS {view}::") == n_examples
    assert "ERROR=0" in outcome.stdout
    assert written_by_dbt() == before
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


def test_a_view_of_somebody_else_is_not_dropped_and_is_named(featured: Warehouse, place: Path) -> None:
    """Another type of a column would drop the table, and every view on it, theirs and ours."""
    with featured.begin(role=None) as connection:
        connection.execute(text("CREATE SCHEMA desk"))
        connection.execute(text("CREATE VIEW desk.closes AS SELECT ticker, ts, rsi_14 FROM analytics.feature_history"))
        connection.execute(
            text("CREATE VIEW desk.last AS SELECT ticker, max(ts) AS ts FROM desk.closes GROUP BY ticker")
        )
        connection.execute(
            text("UPDATE features.watermarks SET shape = 'another' WHERE relation = 'features.technical'")
        )
    before = views(featured)
    outcome = dbt(featured.plain_url, place, "run", "--select", "technical+")
    assert outcome.returncode == 1
    assert "features.technical has other columns now" in outcome.stdout
    assert "not of this project: desk.closes, desk.last." in " ".join(outcome.stdout.split())
    assert views(featured) == before
    with featured.begin(role=None) as connection:
        assert connection.execute(text("SELECT count(*) FROM desk.last")).scalar_one() == 5
        connection.execute(text("DROP SCHEMA desk CASCADE"))
    assert dbt(featured.plain_url, place, "run").returncode == 0
    assert views(featured) == before


@pytest.mark.parametrize("options", [(), ("--full-refresh",)])
def test_an_empty_run_takes_no_rows_away(featured: Warehouse, place: Path, options: tuple[str, ...]) -> None:
    def n_rows() -> tuple[int, int]:
        with featured.begin(role=None) as connection:
            return (
                connection.execute(
                    text("SELECT (SELECT count(*) FROM features.technical), (SELECT count(*) FROM analytics.symbols)")
                )
                .one()
                ._tuple()
            )

    before = n_rows()
    outcome = dbt(featured.plain_url, place, "run", "--empty", *options)
    assert outcome.returncode == 1
    assert "--empty would leave" in outcome.stdout
    assert n_rows() == before


def test_another_target_stands_beside_the_real_thing(
    featured: Warehouse, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As CI does, in schemas of its own: all of it, and then what changed, the rest read from the real thing."""
    monkeypatch.setenv("FORECASTLE_DBT_SCHEMA", "ci_7")
    with featured.begin(role=None) as connection:
        connection.execute(text(f"GRANT CREATE ON DATABASE {featured.url.database} TO forecastle_dbt"))
        real = connection.execute(text("SELECT count(*), max(recorded_at) FROM features.technical")).one()
    outcome = dbt(featured.plain_url, tmp_path, "build", "--target", "ci")
    assert outcome.returncode == 0, outcome.stdout[-3000:]
    schemas = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'ci%' ORDER BY 1"
    with featured.begin(role=None) as connection:
        made = connection.execute(text(schemas)).scalars().all()
        assert made == ["ci_7_analytics", "ci_7_features", "ci_7_labels", "ci_7_staging"]
        assert connection.execute(text("SELECT count(*) FROM ci_7_features.technical")).scalar_one() == real.count
        assert connection.execute(text("SELECT count(*), max(recorded_at) FROM features.technical")).one() == real
        for schema in made:
            connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))

    project = tmp_path / "changed"
    assert dbt(featured.plain_url, place, "parse").returncode == 0
    shutil.copytree(PROJECT, project)
    model = project / "models" / "analytics" / "model_registry.sql"
    model.write_text(model.read_text() + "where versions.version > 0")
    outcome = dbt(
        featured.plain_url, tmp_path, "build", "--target", "ci", "--select", "state:modified", "--defer",
        "--state", str(place / "target"), "--project-dir", str(project), "--profiles-dir", str(project),
    )  # fmt: skip
    assert outcome.returncode == 0, outcome.stdout[-3000:]
    with featured.begin(role=None) as connection:
        relations = "SELECT viewname FROM pg_views WHERE schemaname LIKE 'ci%'"
        assert connection.execute(text(relations)).scalars().all() == ["model_registry"]


def test_a_key_that_is_not_one_fails_the_test_of_its_model(featured: Warehouse, place: Path) -> None:
    assert dbt(featured.plain_url, place, "test", "--select", "test_name:is_key").returncode == 0
    with featured.begin(role=None) as connection:
        connection.execute(text("ALTER TABLE monitoring.check_results DROP CONSTRAINT check_results_pkey CASCADE"))
        connection.execute(
            text(
                "INSERT INTO monitoring.check_results "
                "(run_id, suite, expectation, relation, timeframe, as_of, success, rows_at_fault, why) "
                "SELECT '00000000-0000-0000-0000-000000000001', 'market', 'twice', 'r', 'd1', now(), true, 0, '' "
                "FROM generate_series(1, 2)"
            )
        )
    outcome = dbt(featured.plain_url, place, "test", "--select", "test_name:is_key")
    assert outcome.returncode == 1
    assert "Failure in test is_key_data_quality" in outcome.stdout
    assert "FAIL=1" in outcome.stdout or "ERROR=1" in outcome.stdout


def test_every_model_says_what_names_its_rows() -> None:
    import yaml

    for file in sorted((PROJECT / "models").rglob("*.yml")):
        for model in yaml.safe_load(file.read_text(encoding="utf-8")).get("models", []):
            keyed = any("is_key" in test for test in model.get("data_tests", []) if isinstance(test, dict))
            columns = (each for each in model["columns"] if {"unique", "not_null"} <= set(each.get("data_tests", [])))
            assert keyed or any(columns), model["name"]


def test_a_plain_view_without_a_contract_is_built_as_dbt_does(warehouse: Warehouse, tmp_path: Path) -> None:
    project = tmp_path / "own"
    shutil.copytree(PROJECT, project)
    (project / "models" / "analytics" / "own.sql").write_text(
        "{{ config(materialized='view', contract={'enforced': false}) }}\nselect 1 as one"
    )
    (project / "models" / "analytics" / "grows.sql").write_text(
        "{{ config(materialized='incremental', contract={'enforced': false}) }}\n"
        "select {{ 1 if is_incremental() else 0 }} as is_incremental"
    )
    for _ in range(2):
        outcome = dbt(
            warehouse.plain_url, tmp_path, "run", "--select", "own", "grows", "--project-dir", str(project),
            "--profiles-dir", str(project),
        )  # fmt: skip
        assert outcome.returncode == 0, outcome.stdout[-3000:]
    with warehouse.begin(Role.DBT) as connection:
        assert connection.execute(text("SELECT one FROM analytics.own")).scalar_one() == 1
        rows = connection.execute(text("SELECT is_incremental FROM analytics.grows ORDER BY 1")).scalars().all()
    assert rows == [0, 1]


def test_it_can_be_used_as_a_package_word_for_word_as_the_page_says(featured: Warehouse, tmp_path: Path) -> None:
    page = (PROJECT.parent / "docs" / "how-to" / "use-dbt.md").read_text(encoding="utf-8")
    own = tmp_path / "desk"
    files = re.findall(r"^`([\w./]+)`[^\n]*:\n\n```\w+\n(.*?)```", page, flags=re.MULTILINE | re.DOTALL)
    assert len(files) == 5
    for name, content in files:
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        (own / name).write_text(content.replace("../forecastle/dbt_project", str(PROJECT)))
    (made,) = re.findall(r"CREATE SCHEMA desk [^;]*", page)
    with featured.begin(role=None) as connection:
        connection.execute(text(made))
        before = connection.execute(text("SELECT max(built_at) FROM features.watermarks")).scalar_one()
    for command in ("deps", "build"):
        outcome = dbt(featured.plain_url, tmp_path, command, folder=own)
        assert outcome.returncode == 0, outcome.stdout[-3000:]
    assert "1 view model" in outcome.stdout
    with featured.begin(role=None) as connection:
        assert connection.execute(text("SELECT count(*) FROM desk.hit_rate")).scalar_one() == 0
        assert connection.execute(text("SELECT max(built_at) FROM features.watermarks")).scalar_one() == before


def test_freshness_of_the_bars_is_found(featured: Warehouse, place: Path) -> None:
    assert dbt(featured.plain_url, place, "source", "freshness").returncode == 0
    with featured.begin(role=None) as connection:
        connection.execute(text("UPDATE market.bars SET recorded_at = recorded_at - INTERVAL '11 days'"))
    outcome = dbt(featured.plain_url, place, "source", "freshness")
    assert outcome.returncode == 1
    assert "ERROR STALE freshness of market.bars" in outcome.stdout
