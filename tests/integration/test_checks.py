"""The checks on the sample's bars: each expectation sees its fault and no other data closes the gate."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy
from databases import administer
from planted_faults import AAPL, AS_OF, FAULTS, id_of, narrowed
from sqlalchemy import event, text
from sqlalchemy.engine import Engine
from technical import FORWARD, TECHNICAL_FEATURES

from mlops import checks
from mlops.checks import suites, validation
from mlops.checks.run import run_suites
from mlops.checks.suites import ROW_COUNT, Suite
from mlops.datasets import materialise
from mlops.domain import DAILY_SUITES, Role
from mlops.exceptions import (
    ChecksError,
    GateClosedError,
    NotMigratedError,
    TimeframeError,
    WarehouseUnreachableError,
)
from mlops.features import build
from mlops.registry import start_run
from mlops.training import find_spec
from mlops.warehouse import Warehouse
from mlops.warehouse.background import Answer
from mlops.warehouse.feature_sets import FeatureSet, read_feature_set

SPEC = find_spec("stocks_d1/gbm")


def plant(warehouse: Warehouse, fault: str) -> None:
    with warehouse.begin(role=None) as connection:
        connection.execute(text(fault))


def add_run(warehouse: Warehouse) -> UUID:
    """Materialise the training set of a run as of AS_OF and return the run's id."""
    with warehouse.begin(Role.WORKER) as connection:
        run_id = start_run(connection, SPEC, AS_OF)
        materialise(connection, run_id, SPEC, AS_OF)
    return run_id


def feature_set(warehouse: Warehouse) -> FeatureSet:
    with warehouse.begin(Role.WORKER) as connection:
        return read_feature_set(connection, "technical")


def failed(findings: checks.CheckFindings) -> set[str]:
    return {result.expectation for result in findings.failures}


EVERY_FAULT = [pytest.param(suite, name, id=f"{suite}-{name}") for suite in FAULTS for name in FAULTS[suite]]


@pytest.mark.parametrize(("suite", "name"), EVERY_FAULT)
def test_the_fault_closes_the_gate_or_puts_its_symbol_into_quarantine(
    featured: Warehouse, suite: str, name: str
) -> None:
    run_id = add_run(featured) if suite == "training_set" else uuid4()
    alone = narrowed(suites.expected_of(suites.load(suite), feature_set(featured), FORWARD), name)
    arguments: dict[str, Any] = {"as_of": AS_OF, "run_id": run_id, "timeframe": "d1"}
    checks.gate(run_suites(featured, [alone], **arguments))

    plant(featured, FAULTS[suite][name])
    findings = run_suites(featured, [alone], **arguments)

    (result,) = (each for each in findings.results if each.expectation == name)
    assert not result.success
    assert "could not be checked" not in result.observed
    (declared,) = (each for each in alone.expectations if each.name == name)
    if declared.quarantines and len(result.symbols_at_fault) == 1:
        assert findings.quarantined == set(result.symbols_at_fault) == {id_of(featured, "AAPL")}
        checks.gate(findings)
    else:
        with pytest.raises(GateClosedError) as closed:
            checks.gate(findings)
        assert f"suite {suite}, expectation {findings.failures[0].expectation}" in str(closed.value)
    with featured.begin(Role.WORKER) as connection:
        shown = connection.execute(text(result.query)).all()
    # The query that is kept shows the rows; only where there are too few rows is there nothing to show.
    assert len(shown) == result.rows_at_fault
    if not name.endswith(("are_there", "has_bars")):
        assert result.rows_at_fault > 0
        assert result.first_rows


@pytest.mark.parametrize("day", ["2001-02-28", "2005-06-30", "2008-10-10", "2012-12-31", "2013-03-01", "2013-03-03"])
def test_clean_data_pass_every_day(featured: Warehouse, day: str) -> None:
    as_of = datetime.fromisoformat(day).replace(hour=23, tzinfo=UTC)
    findings = checks.daily(featured, as_of)
    assert failed(findings) == set()
    checks.gate(findings)
    assert {result.suite for result in findings.results} == set(DAILY_SUITES)


def test_suspects_that_come_late_change_nothing(featured: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of little data they are there before the first expectation; of much, they are waited for in the end."""
    plant(featured, f"UPDATE features.technical SET return_1 = 7 WHERE symbol_id = {AAPL} AND ts > '2013-02-20'")
    found = []
    for at_once in (True, False):
        monkeypatch.setattr(Answer, "is_there", property(lambda _, at_once=at_once: at_once))
        results = checks.daily(featured, AS_OF).results
        found.append([(each.expectation, each.success, each.observed, each.query) for each in results])
    assert found[0] == found[1]
    assert "features_belong_to_their_bar" in {name for name, success, *_ in found[0] if not success}


def test_a_clean_training_set_passes(featured: Warehouse) -> None:
    run_id = add_run(featured)
    findings = checks.training(featured, run_id, AS_OF)
    assert failed(findings) == set()
    assert {result.suite for result in findings.results} == set(checks.TRAINING)
    (rows,) = (result for result in findings.results if result.expectation == "rows_are_there")
    with featured.begin(Role.WORKER) as connection:
        used = connection.execute(
            text("SELECT count(*) FROM ml.training_rows WHERE split IN ('train', 'validation', 'test')")
        ).scalar_one()
    assert rows.observed == f"{used:,} rows"


def test_the_whole_history_passes(featured: Warehouse) -> None:
    findings = checks.run(featured, DAILY_SUITES, as_of=AS_OF, since=checks.BEGINNING)
    assert failed(findings) == set()


@pytest.mark.parametrize("sessions", [4, 30, 45])
def test_a_feature_that_stopped_coming_closes_the_gate_however_long_ago(featured: Warehouse, sessions: int) -> None:
    """Also once there is not one value of it in the sessions that are looked at."""
    plant(
        featured,
        f"""
        UPDATE features.technical SET volume_zscore_20 = NULL
        WHERE ts IN (SELECT DISTINCT ts FROM features.technical ORDER BY ts DESC LIMIT {sessions})
        """,
    )
    assert failed(checks.run(featured, ["features"], as_of=AS_OF)) == {"few_features_are_missing"}


def test_a_symbol_that_never_had_a_volume_does_not_count(featured: Warehouse) -> None:
    plant(featured, f"UPDATE features.technical SET volume_zscore_20 = NULL WHERE symbol_id = {AAPL}")
    assert failed(checks.run(featured, ["features"], as_of=AS_OF)) == set()


def test_results_are_kept(featured: Warehouse) -> None:
    plant(featured, FAULTS["features"]["rsi_14_is_possible"])
    run_id = uuid4()
    findings = checks.run(featured, ["features"], as_of=AS_OF, run_id=run_id)
    again = checks.run(featured, ["features"], as_of=AS_OF, run_id=run_id)
    assert again == findings
    with featured.begin(Role.WORKER) as connection:
        kept = connection.execute(
            text("SELECT * FROM monitoring.check_results WHERE run_id = :run_id"), {"run_id": run_id}
        ).all()
    assert len(kept) == len(suites.expected_of(suites.load("features"), feature_set(featured), None).expectations)
    by_name = {row.expectation: row for row in kept}
    broken = by_name["rsi_14_is_possible"]
    assert (broken.success, broken.rows_at_fault, broken.observed) == (False, 1, "1 row at fault")
    assert (broken.suite, broken.relation, broken.as_of) == ("features", "features.technical", AS_OF)
    fine = by_name["atr_14_is_possible"]
    assert (fine.success, fine.rows_at_fault) == (True, 0)
    assert fine.observed.startswith("0 rows at fault of ")
    assert all(row.why and row.query for row in kept)


def test_the_message_names_the_rows_and_where_their_queries_are(featured: Warehouse) -> None:
    plant(featured, FAULTS["features"]["rsi_14_is_possible"])
    with pytest.raises(GateClosedError) as closed:
        checks.gate(checks.run(featured, ["features"], as_of=AS_OF))
    first, second = str(closed.value).split("\n")
    query = second.removeprefix("The queries that show the rows: ").replace("data_quality", "analytics.data_quality")
    with featured.begin(Role.ANALYST) as connection:
        (row,) = connection.execute(text(query)).all()
    assert row.query.startswith("SELECT symbol_id, timeframe, ts, rsi_14 FROM (SELECT * FROM analytics.feature_history")
    assert "suite features, expectation rsi_14_is_possible on features.technical: 1 row at fault" in first
    assert "ts=2013-03-01T14:30:00+00:00, rsi_14=nan" in first


def test_two_missing_sessions_of_a_symbol_are_borne(featured: Warehouse) -> None:
    plant(
        featured,
        f"DELETE FROM market.bars WHERE symbol_id = {AAPL} AND ts IN "
        f"(SELECT ts FROM market.bars WHERE symbol_id = {AAPL} ORDER BY ts DESC OFFSET 3 LIMIT 2)",
    )
    assert failed(checks.run(featured, ["market"], as_of=AS_OF)) == set()


def test_rows_that_saw_a_bar_before_it_was_known_close_the_gate(featured: Warehouse) -> None:
    """A bar that the market knew four days late: the rows of these days are computed from it, and may not be used."""
    late = f"symbol_id = {AAPL} AND ts = TIMESTAMPTZ '2012-06-01 13:30+00'"
    plant(
        featured,
        f"UPDATE market.bars SET known_at = known_at + INTERVAL '4 days', recorded_at = clock_timestamp() WHERE {late}",
    )
    build(featured, select=["features.technical", "labels.forward"])
    run_id = add_run(featured)
    plant(featured, f"DELETE FROM ml.training_rows WHERE {late}")  # when it became known, so had its first label
    assert failed(checks.training(featured, run_id, AS_OF)) == set()

    plant(
        featured,
        f"""
        INSERT INTO ml.training_rows
        SELECT '{run_id}', symbol_id, timeframe, ts, as_of, as_of + INTERVAL '40 days', 'test'
        FROM features.technical WHERE symbol_id = {AAPL} AND known_at > as_of
        """,
    )
    findings = checks.run(featured, ["training_set"], as_of=AS_OF, run_id=run_id)
    assert {"no_feature_known_after_as_of", "no_bar_known_after_as_of"} <= failed(findings)


def test_a_whole_shift_by_one_bar_closes_the_gate_of_training(featured: Warehouse) -> None:
    run_id = add_run(featured)
    sets = ", ".join(f"{name} = shifted.{name}" for name in TECHNICAL_FEATURES)
    leads = ", ".join(f"lead({name}) OVER series AS {name}" for name in TECHNICAL_FEATURES)
    whole = ", ".join(f"shifted.{name}" for name in TECHNICAL_FEATURES)
    plant(
        featured,
        f"""
        UPDATE features.technical AS row SET {sets}
        FROM (
            SELECT symbol_id, ts, {leads} FROM features.technical
            WINDOW series AS (PARTITION BY symbol_id ORDER BY ts)
        ) AS shifted
        WHERE row.symbol_id = shifted.symbol_id AND row.ts = shifted.ts AND num_nulls({whole}) = 0
        """,
    )
    findings = checks.training(featured, run_id, AS_OF)
    assert failed(findings) == {"features_belong_to_their_bar", "features_equal_a_rebuild_at_the_cutoff"}
    with pytest.raises(GateClosedError):
        checks.gate(findings)


def test_a_correction_that_was_not_rebuilt_closes_the_gate(featured: Warehouse) -> None:
    plant(
        featured,
        f"UPDATE market.bars SET close = low, adj_close = adj_close * low / close WHERE symbol_id = {AAPL} AND ts = "
        f"(SELECT ts FROM market.bars WHERE symbol_id = {AAPL} AND close > low ORDER BY ts DESC OFFSET 5 LIMIT 1)",
    )
    assert failed(checks.daily(featured, AS_OF)) == {"features_belong_to_their_bar", "label_is_the_forward_return"}


def test_old_data_are_stale(featured: Warehouse) -> None:
    assert "newest_session_is_there" in failed(checks.daily(featured, AS_OF + timedelta(days=4)))
    assert {"month_has_bars", "newest_session_is_there"} <= failed(
        checks.daily(featured, datetime(2020, 1, 1, tzinfo=UTC))
    )


@pytest.mark.parametrize("drop", ["TABLE features.technical", "FUNCTION features.technical_at"])
def test_what_cannot_be_checked_does_not_pass(featured: Warehouse, drop: str) -> None:
    run_id = add_run(featured)
    plant(featured, f"DROP {drop} CASCADE")
    findings = checks.training(featured, run_id, AS_OF)
    broken = [result for result in findings.failures if result.observed.startswith("could not be checked")]
    assert "features_equal_a_rebuild_at_the_cutoff" in {result.expectation for result in broken}
    assert all("technical" in result.observed or "features.vectors" in result.observed for result in broken)
    assert any(result.success for result in findings.results)  # the others were looked at all the same
    if drop.startswith("TABLE"):
        assert {result.expectation for result in broken} >= set(FAULTS["features"])
    with pytest.raises(GateClosedError):
        checks.gate(findings)


@pytest.mark.parametrize(
    ("kind", "kwargs"),
    [
        ("expect_column_values_to_not_be_null", {"column": "nowhere"}),
        ("expect_column_values_to_not_be_null", {"column": "close", "colour": "red"}),
        ("unexpected_rows_expectation", {"unexpected_rows_query": "SELECT 1 FROM :rows AS bar WHERE 1 / 0 = 1"}),
        ("unexpected_rows_expectation", {"unexpected_rows_query": "SELECT 1 / 0 FROM :rows AS bar"}),
        ("unexpected_rows_expectation", {"unexpected_rows_query": "SELECT bar.{close} FROM :rows AS bar"}),
    ],
    ids=["no such column", "no such argument", "division by zero", "rows that cannot be shown", "no SQL"],
)
def test_what_great_expectations_raises_does_not_pass(featured: Warehouse, kind: str, kwargs: dict[str, str]) -> None:
    source = {"relation": "market.bars", "where": "timeframe = :timeframe", "key": ["ts"]}
    findings_of = {"as_of": AS_OF, "run_id": uuid4(), "timeframe": "d1"}
    count = {
        "name": "there",
        "batch": "b",
        "type": ROW_COUNT,
        "kwargs": {"min_value": 1},
        "why": "Some rows there must be.",
    }
    broken = {"name": "broken", "batch": "b", "type": kind, "kwargs": kwargs, "why": "It is here so as to be broken."}
    suite = Suite.model_validate(
        {
            "suite": "broken",
            "about": "An expectation that cannot be run.",
            "batches": {"b": source},
            "expectations": [count, broken],
        }
    )
    findings = run_suites(featured, [suite], **findings_of)
    assert "broken" in failed(findings)
    (result,) = (each for each in findings.results if each.expectation == "broken")
    assert result.observed.startswith("could not be checked: ")
    with pytest.raises(GateClosedError, match="could not be checked"):
        checks.gate(findings)


def test_no_expectation_at_all_is_no_pass() -> None:
    with pytest.raises(GateClosedError):
        checks.gate(checks.CheckFindings(run_id=uuid4(), as_of=AS_OF, timeframe="d1"))


def test_an_unknown_run_or_suite_or_timeframe_is_refused(featured: Warehouse) -> None:
    with pytest.raises(ChecksError, match="no training run"):
        checks.training(featured, uuid4(), AS_OF)
    with pytest.raises(ChecksError, match="There are: market, features, labels, freshness, training_set"):
        checks.run(featured, ["markets"], as_of=AS_OF)
    with pytest.raises(TimeframeError, match=r"There is no timeframe .* Use one of m1, m5"):
        checks.daily(featured, AS_OF, "d1' OR true --")


def test_an_empty_database_does_not_pass(warehouse: Warehouse) -> None:
    findings = checks.daily(warehouse, AS_OF)
    assert "bars_are_there" in failed(findings)
    assert {"month_has_bars"} <= failed(findings)


def test_a_database_without_tables_is_named(server_url: str) -> None:
    with Warehouse(server_url) as bare, pytest.raises(NotMigratedError):
        checks.daily(bare, AS_OF)


@pytest.fixture
def statements() -> Iterator[list[tuple[str, int]]]:
    """Every statement of the test with the number of rows that came back, whichever engine ran it."""
    seen: list[tuple[str, int]] = []

    def note(_c: object, cursor: Any, statement: str, *_: object) -> None:
        seen.append((statement, cursor.rowcount if cursor.description else 0))

    event.listen(Engine, "after_cursor_execute", note)
    yield seen
    event.remove(Engine, "after_cursor_execute", note)


def test_no_table_is_copied_out(featured: Warehouse, statements: list[tuple[str, int]]) -> None:
    run_id = add_run(featured)
    statements.clear()
    checks.training(featured, run_id, AS_OF)
    assert max(rows for _, rows in statements) <= len(suites.load("features").expectations) + 50


def test_the_checks_can_write_nothing(featured: Warehouse) -> None:
    with validation.reading(featured.url) as source:
        engine = source.get_execution_engine().engine
        with engine.connect() as connection, pytest.raises(sqlalchemy.exc.InternalError, match="read-only"):
            connection.execute(text("DELETE FROM ml.training_rows"))
        with engine.connect() as connection:
            assert connection.execute(text("SELECT current_user")).scalar_one() == Role.WORKER.value


# What happens to the database meanwhile -------------------------------------------------------------------------------


def lose_connections(warehouse: Warehouse, server_url: str, *, for_good: bool) -> None:
    """End all connections to the database, as a server does that stops; for good: nobody is let in again."""
    name = warehouse.url.database
    if for_good:
        administer(server_url, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    administer(server_url, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")


@pytest.mark.parametrize("for_good", [True, False], ids=["it stays away", "it is back at once"])
def test_a_database_that_goes_away_is_no_verdict(
    featured: Warehouse, server_url: str, monkeypatch: pytest.MonkeyPatch, for_good: bool
) -> None:
    checks.gate(checks.daily(featured, AS_OF))
    begun = []
    really = validation._results

    def results(*arguments: Any) -> Any:
        begun.append(arguments[1])
        if arguments[1] == "features.recent":
            lose_connections(featured, server_url, for_good=for_good)
        return really(*arguments)

    monkeypatch.setattr(validation, "_results", results)
    with pytest.raises(WarehouseUnreachableError) as lost:
        checks.daily(featured, AS_OF + timedelta(hours=1))
    assert begun[-1] == "features.recent"  # nothing is tried that cannot be
    first, second = str(lost.value).split("\n")
    assert re.fullmatch(r"The database test_\w+ at [\w.]+:\d+ went away during the check \(.*\)\.", first)
    assert second == "Nothing was kept of it: check again once the database answers."

    monkeypatch.undo()
    administer(server_url, f"ALTER DATABASE {featured.url.database} ALLOW_CONNECTIONS true")
    featured.engine.dispose()
    with featured.begin() as connection:
        kept = connection.execute(text("SELECT DISTINCT as_of, success FROM monitoring.check_results")).all()
    assert kept == [(AS_OF, True)]
    checks.gate(checks.daily(featured, AS_OF + timedelta(hours=1)))


@pytest.mark.parametrize("moment", ["before the checks connect", "while rows at fault are counted"])
def test_a_database_that_goes_away_at_other_moments(
    featured: Warehouse, server_url: str, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    plant(featured, FAULTS["features"]["rsi_14_is_possible"])
    where = (
        (validation._Library, "source")
        if moment == "before the checks connect"
        else (sys.modules["mlops.checks.run"], "_show")
    )
    really = getattr(*where)

    def losing(*arguments: Any, **named: Any) -> Any:
        lose_connections(featured, server_url, for_good=True)
        return really(*arguments, **named)

    monkeypatch.setattr(*where, losing)
    if moment == "before the checks connect":
        validation._library().sources.clear()
    with pytest.raises(WarehouseUnreachableError):
        checks.daily(featured, AS_OF)
    monkeypatch.undo()
    administer(server_url, f"ALTER DATABASE {featured.url.database} ALLOW_CONNECTIONS true")
    featured.engine.dispose()
    with featured.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM monitoring.check_results")).scalar_one() == 0


KILLED_BETWEEN_SUITES = """
import os, signal, sys
from datetime import datetime
from mlops import checks
from mlops.warehouse import Warehouse
from mlops.warehouse.background import Answer
from mlops.warehouse.feature_sets import FeatureSet, read_feature_set

run = sys.modules["mlops.checks.run"]
really = run._results
def results(warehouse, asked, verdicts):
    yield from really(warehouse, asked, verdicts)
    if asked.suite.suite == "features":
        os.kill(os.getpid(), signal.SIGKILL)
run._results = results
with Warehouse(sys.argv[1]) as warehouse:
    checks.daily(warehouse, datetime.fromisoformat(sys.argv[2]))
"""


def test_a_check_that_is_killed_half_way_leaves_the_verdict_that_there_was(featured: Warehouse) -> None:
    checks.daily(featured, AS_OF)
    later = AS_OF + timedelta(hours=1)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_BETWEEN_SUITES, featured.plain_url, later.isoformat()], check=False, timeout=120
    )
    assert killed.returncode == -9
    with featured.begin() as connection:
        kept = connection.execute(text("SELECT DISTINCT as_of FROM monitoring.check_results")).all()
    assert kept == [(AS_OF,)]
