"""A database of the revision before models had candidates, as it may stand somewhere: nothing is lost on the way up."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from alembic import command
from databases import database
from small_world import FEATURE_SET, World
from sqlalchemy import text
from technical import HORIZONS, TECHNICAL_FEATURES
from tiny_model import tiny_model

from mlops import registry
from mlops.domain import ModelVersion
from mlops.exceptions import WarehouseError
from mlops.features import build
from mlops.forecasting import forecast
from mlops.outcomes import resolve
from mlops.warehouse import Warehouse
from mlops.warehouse.databases import beside
from mlops.warehouse.migrate import _config, migrate, set_database_defaults
from mlops.warehouse.standing import prepare

VERSIONS = (
    ("gbm_d1", 1, "hist_gradient_boosting", {"max_iter": 60}),
    ("gbm_d1", 2, "hist_gradient_boosting", {"max_iter": 60}),
    ("gbm_d1", 3, "hist_gradient_boosting", {"max_iter": 90}),
    ("mine", 1, "random_forest", {}),
)
ALIASES = (("gbm_d1", "production", 1), ("gbm_d1", "staging", 2), ("gbm_d1", "production", 2), ("gbm_d1", "staging", 3),
           ("mine", "production", 1))  # fmt: skip
PREDICTED = "model, version, symbol_id, timeframe, horizon, as_of"
SAID = f"{PREDICTED}, ts, target_ts, p10, p50, p90, direction, probability_bullish, made_at"


@pytest.fixture
def old(server_url: str) -> Iterator[World]:
    """Rows in every table that the migration touches, as revision 0009 has them, and the registry view of then."""
    with database(server_url, "template0") as name, Warehouse(beside(server_url, name)) as warehouse:
        with warehouse.begin(role=None) as connection:
            prepare(connection)
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "0009")
            set_database_defaults(connection)
        world = World(warehouse).build()
        _register(world)
        _forecast(world)
        world.owner(
            "CREATE VIEW analytics.model_registry AS SELECT model, sha256, feature_set_version FROM ml.versions"
        )
        world.owner("ALTER VIEW analytics.model_registry OWNER TO forecastle_dbt")
        yield world


def _register(world: World) -> None:
    for model, version, family, hyperparameters in VERSIONS:
        artifact = tiny_model(seed=version, feature_set_version=FEATURE_SET)
        spec = {"model": model, "family": family, "timeframe": "d1", "horizons": list(HORIZONS),
                "drift": {"window_days": 30, "minimum_predictions": 5}}  # fmt: skip
        facts: dict[str, Any] = {
            "run": uuid.uuid4(), "model": model, "version": version, "family": family, "at": world.close_of(50),
            "spec": json.dumps(spec), "sha256": hashlib.sha256(artifact).hexdigest(), "bytes": artifact,
            "horizons": list(HORIZONS), "features": list(TECHNICAL_FEATURES), "set": FEATURE_SET,
            "hyperparameters": json.dumps(hyperparameters),
        }  # fmt: skip
        for statement in (
            "INSERT INTO ml.runs (run_id, model, as_of, status, spec, finished_at) "
            "VALUES (:run, :model, :at, 'succeeded', :spec, now())",
            "INSERT INTO ml.artifacts (sha256, format, bytes) VALUES (:sha256, 'onnx', :bytes) ON CONFLICT DO NOTHING",
            "INSERT INTO ml.versions (model, version, run_id, sha256, family, timeframe, horizons, features, "
            "feature_set_version, data_from, data_to, data_fingerprint, split, seed, hyperparameters, packages, "
            "code_revision, metrics, parity_max_abs_diff) VALUES (:model, :version, :run, :sha256, :family, 'd1', "
            ":horizons, :features, :set, :at, :at, 'x', '{}', 1, :hyperparameters, '{}', 'x', '{}', 3e-8)",
            "INSERT INTO ml.references VALUES (:model, :version, 'rsi_14', '{1}', '{2,3}')",
            "INSERT INTO ml.baselines VALUES (:model, :version, 1, 0.4, 0, 'BULLISH')",
            "INSERT INTO monitoring.feature_drift (model, version, feature, day, n_reference, n_current, state) "
            "VALUES (:model, :version, 'rsi_14', '2020-05-01', 5, 5, 'normal')",
        ):
            world.owner(statement, **facts)
    world.owner(
        "INSERT INTO ml.runs (run_id, model, as_of, status, spec, finished_at, error) "
        "VALUES (gen_random_uuid(), 'never', now(), 'failed', '{\"model\": \"never\"}', now(), 'too few rows')"
    )
    for model, alias, version in ALIASES:
        world.owner(
            "INSERT INTO ml.alias_moves (model, alias, to_version, reason) VALUES (:model, :alias, :version, 'so')",
            model=model, alias=alias, version=version,
        )  # fmt: skip


def _forecast(world: World) -> None:
    """Some forecasts of each version, half of them resolved."""
    world.owner(
        "INSERT INTO ml.predictions (model, version, symbol_id, timeframe, horizon, as_of, ts, target_ts, p10, p50, "
        "p90, direction, probability_bullish, probability_neutral, probability_bearish) "
        "SELECT v.model, v.version, f.symbol_id, 'd1', h, f.as_of, f.ts, f.as_of + INTERVAL '9 days', -0.1, 0.01, 0.1, "
        "'BULLISH', 0.5, 0.3, 0.2 FROM ml.versions AS v, features.technical AS f, unnest(ARRAY[1, 5]) AS h "
        "WHERE f.as_of BETWEEN :first AND :last",
        first=world.close_of(55), last=world.close_of(70),
    )  # fmt: skip
    world.owner(
        "INSERT INTO ml.outcomes SELECT model, version, symbol_id, timeframe, horizon, as_of, ts, 0.02, 'BULLISH', "
        "-0.01, -0.02, true, true, target_ts, target_ts FROM ml.predictions WHERE as_of <= :middle",
        middle=world.close_of(62),
    )


def rows(world: World, query: str) -> list[tuple[Any, ...]]:
    with world.warehouse.begin(role=None) as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def renamed(found: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [("stocks_d1" if row[0] == "gbm_d1" else row[0], *row[1:]) for row in found]


KEPT = {
    "versions": "SELECT model, version, run_id, family, horizons, data_fingerprint, hyperparameters, created_at FROM "
    "ml.versions",
    "predictions": f"SELECT {SAID} FROM ml.predictions",
    "outcomes": f"SELECT {PREDICTED}, actual, error, hit, resolved_at FROM ml.outcomes",
    "unresolved": f"SELECT {PREDICTED}, target_ts FROM ml.unresolved",
    "references": "SELECT * FROM ml.references",
    "baselines": "SELECT * FROM ml.baselines",
    "runs": "SELECT model, run_id, status, error, started_at FROM ml.runs",
    "drift": "SELECT model, version, feature, state, measured_at FROM monitoring.feature_drift",
    "moves": "SELECT model, id, alias, from_version, to_version, moved_at, moved_by, reason FROM ml.alias_moves",
    "aliases": "SELECT model, alias, version, move_id FROM ml.aliases",
}


def test_every_row_is_kept_and_the_shipped_model_has_the_name_of_its_question(old: World) -> None:
    bytes_of = dict(rows(old, "SELECT run_id::text, bytes FROM ml.versions JOIN ml.artifacts USING (sha256)"))
    before = {name: rows(old, query) for name, query in KEPT.items()}
    assert (len(before["predictions"]), len(before["outcomes"])) == (4 * 16 * 3 * 2, 4 * 8 * 3 * 2)
    migrate(old.warehouse)
    for name, query in KEPT.items():
        assert sorted(map(repr, rows(old, query))) == sorted(map(repr, renamed(before[name]))), name
    assert bytes_of == dict(
        rows(
            old,
            "SELECT v.run_id::text, a.bytes FROM ml.versions AS v JOIN ml.components AS c USING (model, version) "
            "JOIN ml.artifacts AS a ON a.sha256 = c.sha256 WHERE c.format = 'onnx' AND c.parity = 3e-8",
        )
    )
    assert rows(old, "SELECT model, version, candidate, label FROM ml.versions ORDER BY model, version") == [
        ("mine", 1, "forest", "1.0.0"),
        ("stocks_d1", 1, "gbm", "1.0.0"), ("stocks_d1", 2, "gbm", "1.0.1"), ("stocks_d1", 3, "gbm", "1.1.0"),
    ]  # fmt: skip
    assert rows(old, "SELECT model, universe FROM ml.models ORDER BY model") == [
        ("mine", None), ("never", None), ("stocks_d1", None),
    ]  # fmt: skip
    assert rows(old, "SELECT model, document ->> 'model' FROM ml.specs ORDER BY model") == [
        ("mine", "mine"), ("never", "never"), ("stocks_d1", "gbm_d1"),
    ]  # fmt: skip


def test_old_versions_go_on_forecasting_and_can_be_rolled_back(old: World) -> None:
    migrate(old.warehouse)
    old.publish()
    summary = forecast(old.warehouse, old.close_of(79))
    assert [(str(each.version), each.role, each.made) for each in summary.versions] == [
        ("stocks_d1 v2", "production", 12), ("mine v1", "production", 12),
    ]  # fmt: skip
    resolve(old.warehouse, old.close_of(99))
    assert rows(old, "SELECT count(*) FROM ml.unresolved") == [(0,)]
    with old.warehouse.begin(role=None) as connection:
        assert registry.rollback(connection, "stocks_d1", "It was better.") == ModelVersion("stocks_d1", 1)
        assert len(registry.load_artifact(connection, ModelVersion("stocks_d1", 1))) > 1000
        shown = registry.show(connection, ModelVersion("stocks_d1", 2))
    assert (shown.aliases, shown.features) == ((), TECHNICAL_FEATURES)
    assert "analytics.model_registry" in {model.name for model in build(old.warehouse).models}


def test_a_name_that_is_taken_is_not_given(old: World) -> None:
    old.owner(
        "INSERT INTO ml.runs (run_id, model, as_of, status, spec, finished_at) "
        "VALUES (gen_random_uuid(), 'stocks_d1', now(), 'failed', '{\"family\": \"x\"}', now())"
    )
    migrate(old.warehouse)
    assert [row[0] for row in rows(old, "SELECT DISTINCT model FROM ml.versions ORDER BY model")] == ["gbm_d1", "mine"]


@pytest.mark.parametrize("of", ["ml.versions", "analytics.model_registry"])
def test_a_view_of_somebody_else_is_not_dropped(old: World, of: str) -> None:
    old.owner(f"CREATE VIEW public.theirs AS SELECT sha256 FROM {of}")
    with pytest.raises(WarehouseError, match="view theirs reads what moves to other tables"):
        migrate(old.warehouse)
    assert len(rows(old, "SELECT * FROM public.theirs")) == len(VERSIONS)
    assert rows(old, "SELECT version_num FROM public.alembic_version") == [("0009",)]


def test_a_model_declares_whom_it_is_for_at_its_next_training(old: World) -> None:
    migrate(old.warehouse)
    old.publish()
    with old.warehouse.begin() as connection:
        said = connection.execute(
            text("SELECT universe FROM ml.declare_model('stocks_d1', 'd1', :h, CAST(:universe AS jsonb), 'forward')"),
            {"h": list(HORIZONS), "universe": '{"asset_class": "equity"}'},
        ).scalar_one()
        again = connection.execute(
            text("SELECT universe FROM ml.declare_model('stocks_d1', 'd1', :h, '{}', 'forward')"), {"h": list(HORIZONS)}
        ).scalar_one()
    assert said == again == {"asset_class": "equity"}
    later: datetime = old.close_of(80) + timedelta(days=1)
    assert forecast(old.warehouse, later).made == 24
