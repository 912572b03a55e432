"""The analyst's views: names, grain and meaning as promised, all of it readable as forecastle_analyst, nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from server_for_tests import open_folder
from small_world import register
from sqlalchemy import create_engine, text
from technical import DAILY_BARS, FORWARD, HORIZONS, TECHNICAL_FEATURES

from mlops.checks import failing_rows, suites
from mlops.checks.parameters import Parameters
from mlops.domain import Role
from mlops.drift import measure
from mlops.exceptions import GateClosedError, WarehouseError
from mlops.features import build
from mlops.forecasting import forecast
from mlops.outcomes import resolve
from mlops.sources import FileSource, ingest_earnings
from mlops.spec import DriftSpec
from mlops.warehouse import Warehouse
from mlops.warehouse.databases import beside
from mlops.warehouse.engine import parse_url
from mlops.warehouse.feature_sets import read_feature_set
from mlops.warehouse.migrate import set_database_defaults

FORECAST = (
    "symbol_id ticker timeframe horizon as_of target_ts p10 p50 p90 direction probability_bullish "
    "probability_neutral probability_bearish model version made_at"
)
PROMISED = {
    "quarantine": "symbol_id ticker timeframe suite expectation since until rows_at_fault why gate_closed run_id",
    "symbols": "id ticker name asset_class exchange timezone",
    "feature_history": "symbol_id ticker timeframe ts as_of feature_set_version " + " ".join(TECHNICAL_FEATURES),
    "ml_forecasts": FORECAST,
    "model_predictions": FORECAST + " actual error resolved_at ts actual_direction naive_error known_at hit covered "
    "confidence role run_id",
    "models": "model timeframe situation target horizons universe created_at candidates production_version challengers",
    "forecast_runs": "run_id model version candidate role as_of status finished_at seconds scoring_seconds n_symbols "
    "n_made n_present n_refused error provider packages",
    "symbol_status": "symbol_id ticker timeframe newest_bar newest_known_at sessions_behind quarantined_since refused "
    "refused_as_of forecast_as_of",
    "refusals": "run_id model version role as_of symbol_id ticker horizon reason",
    "forecast_accuracy": "model version timeframe horizon day window_days n mae naive_mae skill directional_accuracy "
    "coverage_80",
    "forecast_consensus": "symbol_id ticker timeframe horizon as_of",
    "training_runs": "run_id model version status started_at finished_at n_train n_validation n_test metrics error",
    "model_registry": "model version stage created_at sha256 format size_bytes feature_set_version data_from data_to "
    "metrics",
    "feature_drift": "model version feature day psi n_reference n_current state",
    "drift_monitoring": "model symbol_id timeframe date accuracy n_predictions baseline_accuracy drift_margin "
    "drift_detected state created_at",
    "data_quality": "run_id suite expectation relation success observed rows_at_fault checked_at",
    "job_runs": "job as_of state attempt started_at finished_at error scheduled subject",
    "alerts": "raised_at kind subject state message",
    "bars": "symbol_id ticker timeframe ts known_at recorded_at open high low close adj_close volume",
    "earnings": "symbol_id ticker date quarter eps_estimate eps_actual release ts known_at recorded_at",
    "rejects": "id kind file line reason rejected_at content ingest_id",
    "model_history": "move_id model alias from_version to_version moved_at moved_by reason moved_on_at",
    "schedule": "job crontab since last_due_at last_state last_succeeded_for not_succeeded",
    "calibration": "model version timeframe horizon what stated observed n tenth",
    "adjusted_bars": "symbol_id ticker timeframe ts known_at recorded_at open high low close volume",
    "sessions": "exchange session opens_at closes_at ordinal",
    "calendar": "rule exchange session opens_at closes_at ordinal",
    "timeframes": "timeframe bar_length session_rule horizon threshold",
    "confirmed_moves": "symbol_id ticker timeframe ts reason confirmed_by confirmed_at",
    "label_history": "symbol_id ticker timeframe ts as_of "
    + " ".join(f"forward_return_{h} direction_{h} known_at_{h}" for h in HORIZONS)
    + " recorded_at horizons forward_returns known_ats",
}
"""The columns that people are promised, in their order; those of forecast_consensus and alerts are ours."""

GRAIN = {
    "symbols": "id",
    "feature_history": "symbol_id timeframe ts",
    "ml_forecasts": "symbol_id timeframe horizon",
    "model_predictions": "model version symbol_id timeframe horizon as_of",
    "models": "model",
    "forecast_runs": "run_id",
    "refusals": "run_id symbol_id horizon",
    "symbol_status": "symbol_id timeframe",
    "forecast_accuracy": "model version timeframe horizon day window_days",
    "forecast_consensus": "symbol_id timeframe horizon as_of",
    "training_runs": "run_id",
    "model_registry": "model version",
    "feature_drift": "model version feature day",
    "drift_monitoring": "model symbol_id timeframe date",
    "data_quality": "run_id suite expectation",
    "job_runs": "job subject as_of attempt",
    "alerts": "kind subject",
    "bars": "symbol_id timeframe ts",
    "earnings": "symbol_id date",
    "rejects": "id",
    "model_history": "move_id",
    "schedule": "job",
    "calibration": "model version timeframe horizon what stated",
    "adjusted_bars": "symbol_id timeframe ts",
    "sessions": "exchange session",
    "calendar": "rule exchange session",
    "timeframes": "timeframe horizon",
    "confirmed_moves": "symbol_id timeframe ts",
    "label_history": "symbol_id timeframe ts",
}
NEWEST_BARS = "SELECT DISTINCT known_at FROM market.bars ORDER BY known_at DESC LIMIT 40"
SPOIL = (
    "DELETE FROM market.bars WHERE ts IN (SELECT ts FROM market.bars ORDER BY ts DESC LIMIT 30 OFFSET 400)",
    "UPDATE features.technical SET return_1 = 7, known_at = as_of + INTERVAL '1 day' WHERE ts > '2012-11-01'",
    "UPDATE labels.forward SET forward_returns[1] = 700, known_ats[2] = as_of WHERE ts > '2012-11-01'",
)
KEEP = (
    "INSERT INTO monitoring.check_results (run_id, suite, expectation, relation, timeframe, as_of, success, "
    "rows_at_fault, why, query) "
    "VALUES (:run, :suite, :name, 'market.bars', 'd1', now(), false, 1, 'It matters.', :query)"
)
CLOSE_GATE = (
    "INSERT INTO monitoring.check_results (run_id, suite, expectation, relation, timeframe, as_of, success, "
    "rows_at_fault, why) "
    "VALUES (gen_random_uuid(), 'freshness', 'it_is_new', 'market.bars', 'd1', :as_of, false, 1, 'x')"
)
REFERENCE = ([-1.0, 0.0, 1.0], [250, 250, 250, 250])


class Market:
    """The sample's market after forty days of forecasts, and how to read it."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse

    def read(self, query: str, role: Role | None = Role.ANALYST, **parameters: object) -> list[Any]:
        with self.warehouse.begin(role) as connection:
            return list(connection.execute(text(query), parameters).all())

    def write(self, statement: str, **parameters: object) -> None:
        with self.warehouse.begin(role=None) as connection:
            connection.execute(text(statement), parameters)


@pytest.fixture(scope="module")
def market(server_url: str, featured_template: str) -> Iterator[Market]:
    """Real prices, features and labels; two small models, one of them with two versions; runs, checks and jobs."""
    admin = create_engine(parse_url(server_url), isolation_level="AUTOCOMMIT")
    name = f"test_{uuid.uuid4().hex[:12]}"
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {featured_template}"))
    with Warehouse(beside(server_url, name)) as warehouse:
        with warehouse.begin(role=None) as connection:
            set_database_defaults(connection)
        warehouse.close()
        market = Market(warehouse)
        _live_forty_days(market)
        yield market
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


def _live_forty_days(market: Market) -> None:
    warehouse = market.warehouse
    days: list[datetime] = sorted(row.known_at for row in market.read(NEWEST_BARS, role=None))
    names = (*TECHNICAL_FEATURES, *(f"p50_h{h}" for h in HORIZONS))
    references = {name: REFERENCE for name in names}
    register(warehouse, days[0], model="tiny", references=references)
    for day in days[1:30]:
        forecast(warehouse, day)
    resolve(warehouse, days[29])
    measure(warehouse, days[29])
    # a second version takes over on a day that the first was measured on, and a second model joins in
    register(
        warehouse, days[0], model="tiny", version=2, references=references,
        accuracy=dict.fromkeys(HORIZONS, 0.9), drift=DriftSpec(minimum_predictions=5),
    )  # fmt: skip
    forecast(warehouse, days[29])
    measure(warehouse, days[29])
    register(warehouse, days[0], model="other", version=3, references=references, horizons=(1, 5))
    register(warehouse, days[0], model="other", version=4, references=references, alias="staging")
    # one in the shadow; and an evening on which the gate is closed at first
    register(warehouse, days[0], model="tiny", version=5, candidate="shadow", alias="challenger")
    for day in days[29:]:
        forecast(warehouse, day)
    market.write(CLOSE_GATE, as_of=days[39])
    with pytest.raises(GateClosedError, match="The gate is closed for d1"):
        forecast(warehouse, days[39])
    market.write("DELETE FROM monitoring.check_results WHERE suite = 'freshness'")
    resolve(warehouse, days[39])
    measure(warehouse, days[39])
    with warehouse.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO monitoring.check_results (run_id, suite, expectation, relation, timeframe, as_of, "
                "success, rows_at_fault, why, query, checked_at) VALUES (CAST(:run AS uuid), :suite, :expectation, "
                "'market.bars', :timeframe, CAST(:as_of AS timestamptz), :success, 3, 'Training reads it.', "
                "'SELECT 1', CAST(:at AS timestamptz))"
            ),
            [
                {
                    "run": str(uuid.UUID(int=run)),
                    "suite": suite,
                    "expectation": expectation,
                    "timeframe": timeframe,
                    "success": success,
                    "at": at,
                    "as_of": as_of,
                }
                for run, suite, expectation, timeframe, success, at, as_of in (
                    (1, "10_market", "no duplicates", "d1", False, "2024-01-01Z", "2024-01-01Z"),
                    (2, "10_market", "no duplicates", "d1", True, "2024-01-02Z", "2024-01-02Z"),
                    (2, "10_market", "complete", "d1", False, "2024-01-02Z", "2024-01-02Z"),
                    (3, "20_features", "no NULL", "h1", False, "2023-12-31Z", "2023-12-31Z"),
                    (4, "20_features", "no NULL", "d1", True, "2024-01-02Z", "2024-01-02Z"),
                    # Made later, but of an earlier day; and of a day that has not come.
                    (5, "20_features", "no NULL", "d1", False, "2024-01-03Z", "2024-01-01Z"),
                    (6, "20_features", "no NULL", "d1", False, "2024-01-03Z", "2124-01-01Z"),
                    # The checks of a training set: what they say of the other suites is the training run's own.
                    (7, "10_market", "years ago", "d1", False, "2024-01-04Z", "2024-01-04Z"),
                    (7, "training_set", "no leak", "d1", False, "2024-01-04Z", "2024-01-04Z"),
                )
            ],
        )
        connection.execute(
            text(
                "INSERT INTO ml.runs (run_id, model, as_of, status, spec_sha256, finished_at, error) "
                "SELECT CAST(:run AS uuid), 'tiny', now(), 'blocked', min(sha256), now(), 'the gate is closed' "
                "FROM ml.specs WHERE model = 'tiny'"
            ),
            {"run": str(uuid.UUID(int=7))},
        )
        connection.execute(
            text(
                "INSERT INTO monitoring.job_runs (job, as_of, attempt, state, started_at, finished_at, error) VALUES "
                "('ingest', '2024-01-01Z', 1, 'failed', '2024-01-01Z', '2024-01-01Z', 'throttled'), "
                "('ingest', '2024-01-01Z', 2, 'succeeded', '2024-01-01 01:00Z', '2024-01-01 01:00Z', NULL), "
                "('daily', '2024-01-01Z', 1, 'succeeded', '2024-01-01Z', '2024-01-01Z', NULL), "
                "('daily', '2024-01-02Z', 1, 'failed', '2024-01-02Z', '2024-01-02Z', 'disk full')"
            )
        )
        connection.execute(
            text(
                "INSERT INTO monitoring.schedules (job, since, crontab) "
                "VALUES ('daily', '2024-01-01Z', '30 22 * * 1-5')"
            )
        )
    market.write(
        "INSERT INTO market.confirmed_moves (symbol_id, timeframe, ts, reason) "
        "SELECT symbol_id, timeframe, ts, 'profits halved' FROM market.bars LIMIT 1"
    )
    _take_in_earnings_with_faults(warehouse)


def _take_in_earnings_with_faults(warehouse: Warehouse) -> None:
    with open_folder("earnings") as folder:
        file = folder / "earnings.csv"
        file.write_text(
            "symbol,date,qtr,eps_est,eps,release_time\n"
            "AAPL,2012-10-25,2012Q4,8.75,8.67,post\n"
            "IBM,2012-10-16,2012Q3,3.61,3.62,post\n"
            "IBM,sometime,2012Q2,3.43,3.51,post\n",
            encoding="utf-8",
        )
        ingest_earnings(warehouse, FileSource(file))


# What is promised ----------------------------------------------------------------------------------------------------


def test_views_are_those_that_are_promised(market: Market) -> None:
    found = market.read("SELECT table_name FROM information_schema.views WHERE table_schema = 'analytics'")
    assert {row.table_name for row in found} == set(PROMISED)


@pytest.mark.parametrize("view", PROMISED)
def test_columns_begin_as_promised(market: Market, view: str) -> None:
    with market.warehouse.begin(Role.ANALYST) as connection:
        found = list(connection.execute(text(f"SELECT * FROM {view} LIMIT 0")).keys())
    promised = PROMISED[view].split()
    assert found[: len(promised)] == promised


@pytest.mark.parametrize("view", GRAIN)
def test_grain_holds_and_there_is_something(market: Market, view: str) -> None:
    keys = ", ".join(GRAIN[view].split())
    counts = market.read(f"SELECT count(*) AS n, count(DISTINCT ({keys})) AS n_keys FROM {view}")[0]
    assert counts.n == counts.n_keys > 0


def test_every_view_and_column_is_described(market: Market) -> None:
    described = market.read(
        "SELECT c.relname, a.attname, col_description(c.oid, a.attnum) AS column_text, "
        "obj_description(c.oid) AS view_text "
        "FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 "
        "WHERE c.relnamespace = 'analytics'::regnamespace AND c.relkind = 'v'",
        role=None,
    )
    assert {row.relname for row in described} == set(PROMISED)
    assert [row for row in described if not row.column_text] == []
    assert [row.relname for row in described if "One row per " not in (row.view_text or "").split(". ")[-1]] == []


def test_query_of_every_handbook_works_through_the_search_path(market: Market) -> None:
    rows = market.read(
        "SELECT * FROM ml_forecasts WHERE symbol_id = (SELECT id FROM symbols WHERE ticker = 'AAPL') LIMIT 5"
    )
    assert [(row.ticker, row.horizon) for row in rows] == [("AAPL", h) for h in HORIZONS]


# Who may do what -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", PROMISED)
def test_analyst_reads_every_view_and_writes_none(market: Market, view: str) -> None:
    market.read(f"SELECT * FROM {view}")
    column = PROMISED[view].split()[1]
    for statement, refusal in (
        # A view over several tables is refused as what it is before anyone's rights are looked at.
        (f"INSERT INTO {view} DEFAULT VALUES", "permission denied|cannot insert into view"),
        (f"UPDATE {view} SET {column} = {column}", "permission denied|cannot update view"),
        (f"DELETE FROM {view}", "permission denied|cannot delete from view"),
        (f"TRUNCATE {view}", "is not a table"),
        (f"DROP VIEW {view}", "must be owner"),
        (f"CREATE OR REPLACE VIEW analytics.{view} AS SELECT 1", "permission denied"),
    ):
        with pytest.raises(WarehouseError, match=refusal):
            market.read(statement)


def test_analyst_has_no_right_to_write_whatever_the_statement(market: Market) -> None:
    """A view over one table could be written through, were it granted."""
    rights = market.read(
        "SELECT c.oid::regclass::text AS relation, has_table_privilege('forecastle_analyst', c.oid, "
        "'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') AS may_write FROM pg_class c "
        "WHERE c.relkind IN ('r', 'v', 'p') AND c.relnamespace::regnamespace::text IN "
        "('analytics', 'market', 'staging', 'features', 'labels', 'ml', 'monitoring')",
        role=None,
    )
    assert len(rights) > len(PROMISED)
    assert [row.relation for row in rights if row.may_write] == []


def test_analyst_sees_and_makes_nothing_else(market: Market) -> None:
    tables = market.read(
        "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname IN "
        "('market', 'features', 'labels', 'ml', 'monitoring') UNION ALL "
        "SELECT format('%I.%I', schemaname, viewname) FROM pg_views WHERE schemaname IN ('staging', 'labels') "
        "UNION ALL SELECT chunk_schema || '.' || chunk_name FROM timescaledb_information.chunks",
        role=None,
    )
    assert len(tables) > 40
    for row in tables:
        with pytest.raises(WarehouseError, match="permission denied"):
            market.read(f"SELECT * FROM {row.name}")
    for schema in ("analytics", "public", "ml", "market"):
        with pytest.raises(WarehouseError, match="permission denied"):
            market.read(f"CREATE TABLE {schema}.mine (x integer)")


def test_views_made_again_keep_their_readers(market: Market) -> None:
    build(market.warehouse, select="analytics")
    for view in PROMISED:
        market.read(f"SELECT * FROM {view} LIMIT 1")
        with market.warehouse.begin(Role.WORKER) as connection:
            connection.execute(text(f"SELECT * FROM analytics.{view} LIMIT 1"))


@pytest.mark.parametrize("suite", [name for name in suites.names() if name != "training_set"])
def test_analyst_can_run_the_query_that_shows_the_rows_at_fault(market: Market, suite: str) -> None:
    """Each finds what the check found with its own rights, on data of which some are spoilt."""
    with market.warehouse.begin(Role.WORKER) as connection:
        feature_set = read_feature_set(connection, "technical")
    chosen = suites.expected_of(suites.load(suite), feature_set, FORWARD)
    as_of: datetime = market.read("SELECT max(known_at) AS newest FROM bars")[0].newest + timedelta(days=30)
    start = as_of - timedelta(days=400)
    parameters = Parameters(
        as_of=as_of,
        timeframe=DAILY_BARS,
        run_id=uuid.uuid4(),
        window_start=start,
        month_start=start,
        year_start=start,
        feature_set=feature_set,
        label_set=FORWARD,
    )
    queries = {
        each.name: failing_rows.query(each, chosen.batches[each.batch], parameters) for each in chosen.expectations
    }
    with market.warehouse.begin(role=None) as connection:
        for statement in SPOIL:
            connection.execute(text(statement))
        found = {}
        for name, query in queries.items():
            connection.execute(text(KEEP), {"run": parameters.run_id, "suite": suite, "name": name, "query": query})
            found[name] = connection.exec_driver_sql(f"SELECT count(*) FROM ({query}) AS rows").scalar_one()
        connection.execute(text(f"SET LOCAL ROLE {Role.ANALYST.value}"))
        shown = connection.execute(
            text("SELECT expectation, query FROM data_quality WHERE run_id = :run"), {"run": parameters.run_id}
        ).all()
        assert {row.expectation for row in shown} == set(queries)
        seen = {
            name: connection.exec_driver_sql(f"SELECT count(*) FROM ({query}) AS rows").scalar_one()
            for name, query in shown
        }
        connection.rollback()
    assert seen == found
    assert sum(n > 0 for n in found.values()) > 1  # more than the rows of the batch itself


def test_what_a_training_set_held_is_not_shown(market: Market) -> None:
    """Its rows are gone, and the analyst could not read them while they were there."""
    (row,) = market.read("SELECT query FROM data_quality WHERE suite = 'training_set'")
    assert row.query is None


# The cookbook --------------------------------------------------------------------------------------------------------

COOKBOOK = (Path(__file__).parents[2] / "docs/how-to/cookbook.md").read_text(encoding="utf-8")
QUESTIONS = re.findall(r"^### (\d+)\. (.+?)\n(.*?)```sql\n(.*?)```", COOKBOOK, flags=re.MULTILINE | re.DOTALL)
"""Number, question, what is said before the query, and the query."""


def test_cookbook_has_25_questions_with_one_query_each() -> None:
    assert [int(number) for number, *_ in QUESTIONS] == list(range(1, 26))
    assert COOKBOOK.count("```sql") == COOKBOOK.count("\n### ") == 25
    assert [question for _, question, *_ in QUESTIONS if not question.endswith("?")] == []


@pytest.mark.parametrize(("number", "said", "query"), [(number, said, query) for number, _, said, query in QUESTIONS])
def test_analyst_gets_an_answer_from_the_cookbook(market: Market, number: str, said: str, query: str) -> None:
    """As it stands, but for the name of the model."""
    rows = market.read(query.replace("'stocks_d1'", "'tiny'"))
    assert bool(rows) != ("No rows is the good answer." in said), f"question {number}"


# What they say -------------------------------------------------------------------------------------------------------


def test_ml_forecasts_is_the_newest_of_production(market: Market) -> None:
    every = market.read("SELECT * FROM model_predictions WHERE (model, version) IN (('tiny', 2), ('other', 3))")
    newest: dict[tuple[int, int], Any] = {}
    for row in sorted(every, key=lambda row: (row.as_of, row.model == "tiny")):  # the older of the two models
        newest[(row.symbol_id, row.horizon)] = row
    found = {(row.symbol_id, row.horizon): row for row in market.read("SELECT * FROM ml_forecasts")}
    assert len(found) == 5 * len(HORIZONS)
    assert {key: tuple(row)[: len(FORECAST.split())] for key, row in found.items()} == {
        key: tuple(row)[: len(FORECAST.split())] for key, row in newest.items()
    }
    assert {row.model for row in found.values()} == {"tiny"}
    assert {(row.situation, row.candidate) for row in found.values()} == {("normal", "linear")}


def test_model_predictions_has_the_outcome_once_it_is_there(market: Market) -> None:
    rows = market.read("SELECT * FROM model_predictions")
    assert {row.actual is None for row in rows} == {True, False}
    for row in rows:
        assert (row.actual is None) == (row.error is None) == (row.resolved_at is None)
        if row.actual is not None:
            assert row.error == row.p50 - row.actual


def test_forecast_accuracy_equals_numpy(market: Market) -> None:
    resolved = [row for row in market.read("SELECT * FROM model_predictions") if row.actual is not None]
    found = market.read("SELECT * FROM forecast_accuracy")
    days = {(row.model, row.version, row.horizon, row.known_at.date()) for row in resolved}
    assert {(row.model, row.version, row.horizon, row.day) for row in found} == days
    assert len(found) == 3 * len(days)
    for row in found:
        inside = [
            each
            for each in resolved
            if (each.model, each.version, each.horizon) == (row.model, row.version, row.horizon)
            and row.day - timedelta(days=row.window_days) < each.known_at.date() <= row.day
        ]
        errors = np.array([each.p50 - each.actual for each in inside])
        actual = np.array([each.actual for each in inside])
        hits = [each.direction == each.actual_direction for each in inside]
        covered = [each.p10 <= each.actual <= each.p90 for each in inside]
        majority = [each.actual_direction == "BULLISH" for each in inside]
        expected = (
            np.abs(errors).mean(), np.abs(actual).mean(), 1 - np.abs(errors).mean() / np.abs(actual).mean(),
            np.mean(hits), np.mean(covered), np.mean(majority),
        )  # fmt: skip
        assert row.n == len(inside)
        np.testing.assert_allclose(
            (row.mae, row.naive_mae, row.skill, row.directional_accuracy, row.coverage_80, row.majority_accuracy),
            expected, rtol=1e-12, atol=1e-15,
        )  # fmt: skip


def test_consensus_is_that_of_the_versions_that_forecast(market: Market) -> None:
    found = market.read("SELECT * FROM forecast_consensus")
    said: dict[tuple[Any, ...], list[Any]] = {}
    every = "SELECT * FROM model_predictions WHERE (model, version) IN (('tiny', 2), ('other', 3), ('tiny', 5))"
    for row in market.read(every):
        said.setdefault((row.symbol_id, row.timeframe, row.horizon, row.as_of), []).append(row)
    assert {(row.symbol_id, row.timeframe, row.horizon, row.as_of) for row in found} == set(said)
    assert {row.n_models for row in found} == {2, 3}
    assert {row.agreement for row in found} >= {0.5, 1.0}
    for row in found:
        models = said[(row.symbol_id, row.timeframe, row.horizon, row.as_of)]
        names = ("BULLISH", "NEUTRAL", "BEARISH")
        means = [np.mean([getattr(each, f"probability_{name.lower()}") for each in models]) for name in names]
        direction = names[int(np.argmax(means))]
        assert row.direction == direction
        assert row.agreement == sum(each.direction == direction for each in models) / len(models)
        medians = [each.p50 for each in models]
        np.testing.assert_allclose(
            (row.p50_mean, row.p50_lowest, row.p50_highest, *means),
            (np.mean(medians), min(medians), max(medians), row.probability_bullish, row.probability_neutral,
             row.probability_bearish),
            rtol=1e-12,
        )  # fmt: skip


def test_hit_covered_and_confidence_say_how_a_forecast_went(market: Market) -> None:
    rows = market.read("SELECT * FROM model_predictions")
    assert {row.hit for row in rows} == {row.covered for row in rows} == {True, False, None}
    for row in rows:
        assert row.confidence == getattr(row, f"probability_{row.direction.lower()}")
        if row.actual is None:
            assert row.hit is row.covered is None
        else:
            assert row.hit == (row.direction == row.actual_direction)
            assert row.covered == (row.p10 <= row.actual <= row.p90)


def test_calibration_equals_numpy(market: Market) -> None:
    expected: dict[tuple[Any, ...], tuple[float, float, int]] = {}
    groups: dict[tuple[Any, ...], list[Any]] = {}
    for row in market.read("SELECT * FROM model_predictions WHERE actual IS NOT NULL"):
        groups.setdefault((row.model, row.version, row.timeframe, row.horizon), []).append(row)
    for key, rows in groups.items():
        actual = np.array([row.actual for row in rows])
        for name, stated in (("p10", 0.1), ("p50", 0.5), ("p90", 0.9)):
            quantile = np.array([getattr(row, name) for row in rows])
            expected[(*key, "quantile", stated)] = (stated, float(np.mean(actual <= quantile)), len(rows))
        confidence = np.array([row.confidence for row in rows])
        hit = np.array([row.hit for row in rows])
        tenths = np.digitize(confidence, np.arange(1, 10) / 10)
        for tenth in np.unique(tenths):
            inside = tenths == tenth
            expected[(*key, "probability", tenth / 10)] = (
                float(confidence[inside].mean()), float(hit[inside].mean()), int(inside.sum()),
            )  # fmt: skip
    found = {}
    for row in market.read("SELECT * FROM calibration"):
        key = (row.model, row.version, row.timeframe, row.horizon)
        found[(*key, row.what, row.stated if row.tenth is None else row.tenth)] = (row.stated, row.observed, row.n)
    assert set(found) == set(expected)
    assert len({key[-1] for key in found if key[-2] == "probability"}) > 2
    for key, values in expected.items():
        np.testing.assert_allclose(found[key], values, rtol=1e-12)


def test_bars_and_earnings_are_what_came_in(market: Market) -> None:
    bars = market.read(
        "SELECT ticker, timeframe, ts, open, high, low, close, adj_close, volume, known_at, recorded_at FROM bars "
        "ORDER BY symbol_id, ts"
    )
    assert bars == market.read(
        "SELECT s.ticker, timeframe, ts, open, high, low, close, adj_close, volume, b.known_at, b.recorded_at "
        "FROM market.bars AS b JOIN market.symbols AS s ON s.id = b.symbol_id ORDER BY symbol_id, ts",
        role=None,
    )
    earnings = market.read("SELECT * FROM earnings ORDER BY ticker")
    assert [tuple(row)[1:7] for row in earnings] == [
        ("AAPL", date(2012, 10, 25), "2012Q4", 8.75, 8.67, "post"),
        ("IBM", date(2012, 10, 16), "2012Q3", 3.61, 3.62, "post"),
    ]
    assert all(row.ts <= row.known_at < row.recorded_at for row in earnings)


def test_rejects_say_what_from_where_and_why(market: Market) -> None:
    (row,) = market.read("SELECT * FROM rejects WHERE kind = 'earnings'")
    assert (row.line, row.reason) == (4, "date is no date")
    assert row.file.endswith("earnings.csv")
    assert row.content["symbol"] == "IBM"


def test_model_history_has_every_move(market: Market) -> None:
    moves = market.read("SELECT * FROM model_history ORDER BY move_id")
    assert [(row.model, row.alias, row.from_version, row.to_version, row.reason) for row in moves] == [
        ("tiny", "production", None, 1, "planted"), ("tiny", "production", 1, 2, "planted"),
        ("other", "production", None, 3, "planted"), ("other", "staging", None, 4, "planted"),
        ("tiny", "challenger", None, 5, "planted"),
    ]  # fmt: skip
    assert [row.moved_on_at for row in moves] == [moves[1].moved_at, None, None, None, None]
    assert all(row.moved_by for row in moves)


def test_schedule_has_the_newest_crontab(market: Market) -> None:
    (row,) = market.read("SELECT * FROM schedule")
    assert (row.job, row.crontab, row.last_due_at, row.not_succeeded) == ("daily", "30 22 * * 1-5", None, 0)
    assert row.last_succeeded_for.isoformat() == "2024-01-01T00:00:00+00:00"


def test_registry_names_the_stage(market: Market) -> None:
    stages = {(row.model, row.version): row.stage for row in market.read("SELECT * FROM model_registry")}
    assert stages == {
        ("tiny", 1): None,
        ("tiny", 2): "production",
        ("other", 3): "production",
        ("other", 4): "staging",
        ("tiny", 5): "challenger",
    }


def test_status_of_a_symbol_is_that_of_its_newest_bar_and_run(market: Market) -> None:
    """Its gate was closed in the newest run; the forecasts from before that stand."""
    rows = market.read("SELECT * FROM symbol_status ORDER BY ticker")
    assert [row.ticker for row in rows] == ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
    newest = market.read("SELECT max(ts) AS ts, max(known_at) AS known_at FROM bars")[0]
    for row in rows:
        assert (row.timeframe, row.newest_bar, row.newest_known_at) == ("d1", newest.ts, newest.known_at)
        assert (row.refused, row.refused_as_of, row.forecast_as_of) == ("gate", newest.known_at, newest.known_at)
        assert row.quarantined_since is None
        assert (
            row.sessions_behind
            == market.read(
                "SELECT count(*) AS n FROM sessions WHERE exchange = 'XNYS' AND opens_at > :ts AND closes_at <= now()",
                ts=newest.ts,
            )[0].n
        )


def test_role_is_that_of_the_run_that_made_a_forecast(market: Market) -> None:
    roles = market.read("SELECT DISTINCT model, version, role FROM model_predictions")
    assert {tuple(row) for row in roles} == {
        ("tiny", 1, "production"), ("tiny", 2, "production"), ("other", 3, "production"), ("tiny", 5, "challenger"),
    }  # fmt: skip


def test_models_name_who_answers(market: Market) -> None:
    rows = market.read("SELECT * FROM models ORDER BY model")
    assert [(row.model, row.candidates, row.production_version, row.challengers, row.universe) for row in rows] == [
        ("other", ["linear"], 3, None, {}),
        ("tiny", ["linear", "shadow"], 2, [5], {}),
    ]


def test_a_run_that_was_refused_says_for_whom_and_why(market: Market) -> None:
    runs = market.read("SELECT * FROM forecast_runs WHERE status = 'refused' ORDER BY version")
    assert [(row.version, row.role, row.n_refused) for row in runs] == [
        (2, "production", 5), (3, "production", 5), (5, "challenger", 5),
    ]  # fmt: skip
    assert all(row.error.startswith("The gate is closed for d1") for row in runs)
    rows = market.read("SELECT reason, count(*) AS n FROM refusals GROUP BY reason")
    assert [(row.reason, row.n) for row in rows] == [("gate", 5 * (4 + 2 + 4))]


def test_training_runs_name_the_version_that_came_of_them(market: Market) -> None:
    rows = market.read("SELECT * FROM training_runs")
    assert sorted((row.status, row.version) for row in rows if row.version) == [
        ("succeeded", i) for i in (1, 2, 3, 4, 5)
    ]
    assert [(row.status, row.version, row.error) for row in rows if not row.version] == [
        ("blocked", None, "the gate is closed")
    ]


def test_on_the_day_of_the_change_the_version_measured_last_speaks(market: Market) -> None:
    """Both were measured; the second one had no outcomes yet."""
    days = market.read(
        "SELECT day, count(DISTINCT version) AS n FROM monitoring.drift WHERE model = 'tiny' GROUP BY day", None
    )
    day = next(row.day for row in days if row.n == 2)
    rows = market.read("SELECT * FROM drift_monitoring WHERE model = 'tiny' AND date = :day", day=day)
    assert len(rows) == 5
    assert {row.version for row in rows} == {2}


def test_alerts_are_what_stands_now(market: Market) -> None:
    alerts = market.read("SELECT * FROM alerts")
    of = {kind: {row.subject: row for row in alerts if row.kind == kind} for kind in {row.kind for row in alerts}}
    assert set(of) == {"accuracy", "feature drift", "check", "job"}
    assert {subject: row.state for subject, row in of["check"].items()} == {
        "d1: 10_market, complete": "failed", "h1: 20_features, no NULL": "failed",
        "d1: training_set, no leak": "failed",
    }  # fmt: skip
    assert "3 rows of market.bars" in of["check"]["d1: 10_market, complete"].message
    assert {subject: (row.state, row.message[-9:]) for subject, row in of["job"].items()} == {
        "daily": ("failed", "disk full")
    }
    newest = market.read("SELECT * FROM drift_monitoring WHERE date = (SELECT max(date) FROM drift_monitoring)")
    assert {(row.subject, row.state) for row in of["accuracy"].values()} == {
        (f"{row.model} v{row.version}, {row.ticker} d1", row.state) for row in newest if row.drift_detected
    }
    moved = market.read("SELECT * FROM feature_drift WHERE day = (SELECT max(day) FROM feature_drift)")
    assert set(of["feature drift"]) == {
        f"{row.model} v{row.version}, {row.feature}" for row in moved if row.state == "alert"
    }
    assert of["feature drift"]


def test_one_symbol_is_looked_up_by_key(market: Market) -> None:
    """However many forecasts there are, no relation of them is read from end to end."""
    with market.warehouse.begin(role=None) as connection:
        connection.execute(text("SET LOCAL search_path = analytics, public"))
        plan = connection.execute(
            text("EXPLAIN SELECT * FROM ml_forecasts WHERE symbol_id = (SELECT id FROM symbols WHERE ticker = 'AAPL')")
        ).scalars()
        lines = list(plan)
    on_chunks = [line for line in lines if " on _hyper_" in line]
    assert on_chunks
    assert [line for line in on_chunks if "Index" not in line] == []


def test_dbt_unit_tests_hold(market: Market, tmp_path: Path) -> None:
    """The views' own examples, by dbt, in a process of its own."""
    project = Path(__file__).parents[2] / "dbt_project"
    url = market.warehouse.url
    ran = subprocess.run(
        [
            str(Path(sys.executable).with_name("dbt")), "test", "--select", "analytics,test_type:unit",
            "--profiles-dir", ".", "--no-use-colors",
        ],
        cwd=project, capture_output=True, text=True, check=False, timeout=120,
        env={
            "PATH": "/usr/bin:/bin",
            "FORECASTLE_DBT_HOST": url.host or "", "FORECASTLE_DBT_PORT": str(url.port or 5432),
            "FORECASTLE_DBT_USER": url.username or "", "FORECASTLE_DBT_PASSWORD": str(url.password or ""),
            "FORECASTLE_DBT_DBNAME": url.database or "",
            "DBT_TARGET_PATH": str(tmp_path), "DBT_LOG_PATH": str(tmp_path),
        },
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout
    assert ran.stdout.count(" PASS forecast_accuracy::") == 2
    assert ran.stdout.count(" PASS alerts::") == 2
    assert ran.stdout.count(" PASS calibration::") == 1
    assert ran.stdout.count(" PASS schedule::") == 1
    assert ran.stdout.count(" PASS model_history::") == 1
