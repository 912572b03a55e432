"""The analyst's views as promised: names, columns, grain, descriptions, rights, and the cookbook's questions."""

from __future__ import annotations

import re
import uuid
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from forty_days import FORECAST, Market
from sqlalchemy import text
from technical import DAILY_BARS, FORWARD, HORIZONS, TECHNICAL_FEATURES

from mlops.checks import failing_rows, suites
from mlops.checks.parameters import Parameters
from mlops.domain import Role
from mlops.exceptions import WarehouseError
from mlops.features import build
from mlops.warehouse.feature_sets import read_feature_set

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
