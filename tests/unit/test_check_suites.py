"""The suites as they are written, and the parts of the checks that want no database."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted_faults import FAULTS
from technical import DAILY_BARS, FORWARD, TECHNICAL

from mlops.checks import CheckFindings, CheckResult, failing_rows, gate, suite_names, suites
from mlops.checks.parameters import Parameters
from mlops.checks.quarantine import quarantine
from mlops.checks.suites import SQL, Batch, Expectation
from mlops.exceptions import ChecksError, GateClosedError
from mlops.warehouse.feature_sets import Feature, FeatureSet

AS_OF = datetime(2017, 8, 11, 20, tzinfo=UTC)
RUN = UUID("00000000-0000-0000-0000-00000000002a")
ALL = [
    (suite, each)
    for suite in (suites.expected_of(suites.load(name), TECHNICAL, FORWARD) for name in suite_names())
    for each in suite.expectations
]


def parameters(**changed: object) -> Parameters:
    values = {
        "as_of": AS_OF,
        "timeframe": DAILY_BARS,
        "run_id": RUN,
        "window_start": AS_OF - timedelta(days=42),
        "month_start": AS_OF - timedelta(days=42),
        "year_start": AS_OF - timedelta(days=365),
        "feature_set": TECHNICAL,
        "label_set": FORWARD,
    }
    return Parameters(**{**values, **changed})  # type: ignore[arg-type]


def test_suites_come_in_the_order_of_the_data() -> None:
    assert suite_names() == ("market", "features", "labels", "freshness", "training_set")


@pytest.mark.parametrize(("suite", "expectation"), ALL, ids=lambda each: getattr(each, "name", None))
def test_every_expectation_says_why_and_can_show_its_rows(suite: suites.Suite, expectation: Expectation) -> None:
    assert len(expectation.why.split()) >= 5
    assert expectation.why.endswith((".", ".)"))
    query = failing_rows.query(expectation, suite.batches[expectation.batch], parameters())
    assert not re.search(r"(?<![:\w]):[a-z_]", query), "a parameter was not filled in"
    assert query.startswith(("SELECT", "WITH"))


def test_names_are_unique_over_all_suites() -> None:
    names = Counter(expectation.name for _, expectation in ALL)
    assert [name for name, n in names.items() if n > 1] == []


def test_every_expectation_is_proved_by_a_planted_fault() -> None:
    written = {name: {each.name for suite, each in ALL if suite.suite == name} for name in suite_names()}
    assert written == {name: set(planted) for name, planted in FAULTS.items()}


def test_every_feature_of_a_set_is_held_to_the_bounds_of_its_contract_and_to_no_others() -> None:
    features = (
        Feature("a", -1, None, 5, "A positive price cannot lose all of itself."),
        Feature("b", None, 0, None, None),
        Feature("c", None, None, None, None),
    )
    suite = suites.expected_of(
        suites.load("features"), FeatureSet("mine", "mine-1", "features.mine", 0, features), None
    )
    held = {each.name: each for each in suite.expectations if each.type == "expect_column_values_to_be_between"}
    assert {name: each.kwargs for name, each in held.items()} == {
        "a_is_possible": {"column": "a", "min_value": -1, "strict_min": True, "max_value": 5},
        "b_is_possible": {"column": "b", "min_value": 0, "max_value": 1e300},
        "c_is_possible": {"column": "c", "min_value": -1e300, "max_value": 1e300},
    }
    assert held["a_is_possible"].why == "A positive price cannot lose all of itself."
    assert "NaN and infinity" in held["b_is_possible"].why
    assert "features_belong_to_their_bar" not in {each.name for each in suite.expectations}


def test_a_feature_set_whose_names_are_no_words_is_not_put_into_sql() -> None:
    for name, feature in (("x'; DROP TABLE market.bars; --", "a"), ("mine", 'a", "b'), ("Mine", "a")):
        planted = FeatureSet(name, "1", "features.mine", 0, (Feature(feature, None, None, None, None),))
        with pytest.raises(ChecksError, match="Use small letters, digits and underscores"):
            parameters(feature_set=planted).fill("SELECT :feature_set")


def test_labels_go_by_their_place_among_the_horizons() -> None:
    query = (
        "SELECT greatest(:label_known_ats) FROM :label_relation AS label WHERE label.horizons = ARRAY[:label_horizons]"
    )
    assert parameters(horizons=(1, 10)).fill(query) == (
        "SELECT greatest(label.known_ats[1], label.known_ats[3]) FROM labels.forward AS label "
        "WHERE label.horizons = ARRAY[1, 5, 10, 20]"
    )
    assert parameters().fill("least(:label_returns)") == (
        "least(label.forward_returns[1], label.forward_returns[2], label.forward_returns[3], label.forward_returns[4])"
    )


def test_what_is_of_the_set_forward_alone_is_not_asked_of_another() -> None:
    other = suites.expected_of(suites.load("labels"), None, replace(FORWARD, name="other"))
    asked = {each.name for each in suites.expected_of(suites.load("labels"), None, FORWARD).expectations}
    assert asked - {each.name for each in other.expectations} == {
        "label_is_the_forward_return", "forward_return_is_possible",
    }  # fmt: skip


def test_sql_that_names_a_feature_set_where_there_is_none_is_refused() -> None:
    with pytest.raises(ChecksError, match=":feature_relation, which there is not"):
        parameters(feature_set=None).fill("SELECT FROM :feature_relation")


def test_values_become_literals_and_rows_a_subquery() -> None:
    filled = parameters(run_id=RUN).fill(
        "SELECT a::text FROM :rows AS r WHERE t = :timeframe AND k <= :as_of AND i = :run_id;", rows="(SELECT 1 AS a)"
    )
    assert filled == (
        "SELECT a::text FROM (SELECT 1 AS a) AS r WHERE t = 'd1' AND k <= '2017-08-11T20:00:00+00:00'::timestamptz"
        " AND i = '00000000-0000-0000-0000-00000000002a'::uuid"
    )


@given(st.text().filter(lambda text: not re.fullmatch("[a-z_][a-z0-9_]*", text)))
def test_a_timeframe_whose_name_is_no_word_is_not_put_into_sql(text: str) -> None:
    with pytest.raises(ChecksError):
        parameters(timeframe=replace(DAILY_BARS, name=text)).fill("SELECT :timeframe")


@given(st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.timezones()))
def test_a_moment_is_written_in_utc(moment: datetime) -> None:
    written = parameters(as_of=moment).fill("SELECT :as_of")
    found = re.fullmatch(r"SELECT '([^']*)'::timestamptz", written)
    assert found is not None
    assert datetime.fromisoformat(found[1]) == moment.astimezone(UTC)


@pytest.mark.parametrize("value", ["'; DROP TABLE market.bars; --", "2017-08-11", 7])
def test_what_is_no_run_and_no_moment_is_refused(value: object) -> None:
    with pytest.raises((ChecksError, ValueError, AttributeError)):
        parameters(run_id=value).fill("SELECT :run_id")
    with pytest.raises((ChecksError, ValueError, AttributeError)):
        parameters(as_of=value).fill("SELECT :as_of")
    with pytest.raises(ChecksError, match="timezone"):
        parameters(as_of=datetime(2017, 8, 11)).fill("SELECT :as_of")


def test_an_unknown_name_in_sql_is_refused() -> None:
    with pytest.raises(ChecksError, match=":nothing"):
        parameters().fill("SELECT :nothing")
    with pytest.raises(ChecksError, match=":rows"):
        parameters().fill("SELECT * FROM :rows")


BATCH = Batch(relation="market.bars", where="timeframe = :timeframe", key=("symbol_id", "ts"))


@pytest.mark.parametrize(
    ("kind", "kwargs", "ending"),
    [
        ("expect_column_values_to_not_be_null", {"column": "close"}, "WHERE close IS NULL"),
        (
            "expect_column_values_to_be_between",
            {"column": "low", "min_value": 0, "strict_min": True, "max_value": 1.5},
            "WHERE NOT (low > 0 AND low <= 1.5)",
        ),
        (
            "expect_column_values_to_be_in_set",
            {"column": "word", "value_set": ["a", "b's"]},
            "WHERE word NOT IN ('a', 'b''s')",
        ),
        (
            "expect_column_pair_values_a_to_be_greater_than_b",
            {"column_A": "known_at", "column_B": "ts"},
            "WHERE known_at <= ts",
        ),
    ],
)
def test_the_query_of_the_rows_at_fault(kind: str, kwargs: dict[str, object], ending: str) -> None:
    expectation = Expectation(name="it", batch="b", type=kind, kwargs=kwargs, why="It is here to be shown in a test.")
    assert failing_rows.query(expectation, BATCH, parameters()).endswith(ending)


def test_a_type_without_such_a_query_is_refused() -> None:
    expectation = Expectation(
        name="it", batch="b", type="expect_column_to_exist", kwargs={}, why="It is here to be refused in a test."
    )
    with pytest.raises(ChecksError, match="expect_column_to_exist"):
        failing_rows.query(expectation, BATCH, parameters())


GOOD = """
suite: made_up
about: A suite that is made up for a test.
batches:
  b: {relation: market.bars, where: 'true', key: [ts]}
expectations:
  - {name: there, batch: b, type: expect_table_row_count_to_be_between, kwargs: {}, why: There have to be rows.}
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("why: There have to be rows.", "why: Rows.", "why"),
        (", why: There have to be rows.", "", "why"),
        ("batch: b,", "batch: c,", "no batch 'c'"),
        ("expect_table_row_count_to_be_between", "expect_column_to_exist", "would pass with nothing in it"),
        ("suite: made_up", "suite: [made_up", "not YAML"),
        ("relation: market.bars", "relation: market.bars; DROP TABLE x", "relation"),
        ("name: there", "name: there, colour: red", "colour"),
    ],
)
def test_a_suite_that_cannot_be_used_is_named(old: str, new: str, message: str) -> None:
    assert suites.parse(GOOD, "made_up.yaml").suite == "made_up"
    with pytest.raises(ChecksError, match=re.escape(message)) as refused:
        suites.parse(GOOD.replace(old, new), "made_up.yaml")
    assert str(refused.value).startswith("made_up.yaml")


SUSPECTED = """
suspects:
  odd: {about: Those that are made up., batch: b, query: SELECT 1 AS symbol_id}
"""
OF_SUSPECTS = (
    "  - {name: of_them, batch: b, suspects: odd, type: unexpected_rows_expectation, why: Only these are looked at., "
    "kwargs: {unexpected_rows_query: 'SELECT FROM :rows AS r WHERE r.symbol_id IN (:suspects)'}}\n"
)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("suspects: odd,", "suspects: even,", "no query 'even' among the suspects"),
        ("suspects: odd,", "", "names :suspects where it says which they are, and only there"),
        (" WHERE r.symbol_id IN (:suspects)", "", "names :suspects where it says which they are, and only there"),
    ],
)
def test_suspects_are_named_by_the_expectation_and_by_its_sql(old: str, new: str, message: str) -> None:
    good = GOOD + OF_SUSPECTS + SUSPECTED
    (_, alone) = suites.parse(good, "made_up.yaml").expectations
    assert failing_rows.query(alone, BATCH, parameters()).endswith("r.symbol_id IN (SELECT id FROM market.symbols)")
    assert failing_rows.query(alone, BATCH, parameters(), "7, 9").endswith("r.symbol_id IN (7, 9)")
    with pytest.raises(ChecksError, match=re.escape(message)):
        suites.parse(good.replace(old, new), "made_up.yaml")


def test_two_expectations_of_one_name_are_refused() -> None:
    line = GOOD.strip().splitlines()[-1]
    with pytest.raises(ChecksError, match="two expectations are called there"):
        suites.parse(f"{GOOD}{line}\n", "made_up.yaml")


def result(*, success: bool, name: str = "it") -> CheckResult:
    return CheckResult(
        suite="made_up", expectation=name, relation="market.bars", success=success, observed="2 rows at fault",
        rows_at_fault=2, why="It is here for a test.", query="SELECT 1\nFROM there", first_rows=("a=1", "a=2"),
    )  # fmt: skip


def findings(*results: CheckResult) -> CheckFindings:
    return CheckFindings(run_id=RUN, as_of=AS_OF, timeframe="d1", results=results)


def test_the_gate_lets_through_what_passed_and_nothing_else() -> None:
    gate(findings(result(success=True)))
    with pytest.raises(GateClosedError, match="not one expectation"):
        gate(findings())
    with pytest.raises(GateClosedError) as closed:
        gate(findings(result(success=True), result(success=False, name="broken"), result(success=False, name="other")))
    assert str(closed.value) == (
        "The gate is closed: suite made_up, expectation broken on market.bars: 2 rows at fault (first: a=1; a=2), and "
        "1 more failed.\nThe queries that show the rows: SELECT suite, expectation, query FROM data_quality "
        f"WHERE run_id = '{RUN}' AND NOT success;"
    )
    assert closed.value.about["findings"].failures[0].expectation == "broken"


def at_fault(*symbol_ids: int, name: str = "it") -> CheckResult:
    return replace(result(success=False, name=name), symbols_at_fault=dict.fromkeys(symbol_ids, 1))


@pytest.mark.parametrize(
    ("found", "n_symbols", "left_out"),
    [
        ([at_fault(1)], 2, {1}),  # one may always be left out ...
        ([at_fault(1)], 1, None),  # ... as long as another is left
        ([at_fault(1, 2)], 3, None),
        ([at_fault(*range(5))], 100, set(range(5))),
        ([at_fault(*range(6))], 100, None),
        ([at_fault(1, 2, 3), at_fault(4, 5, 6, name="other")], 100, None),  # all expectations together
        ([at_fault(1, 2, 3), at_fault(1, 2, 3, name="other")], 100, {1, 2, 3}),
        ([at_fault(1), result(success=False, name="other")], 100, None),  # a fault that is of no symbol
        ([at_fault(1), result(success=True, name="other")], 100, {1}),
    ],
)
def test_few_symbols_at_fault_are_left_out_and_many_close_the_gate(
    found: list[CheckResult], n_symbols: int, left_out: set[int] | None
) -> None:
    judged = findings(*quarantine(found, n_symbols))
    assert judged.passed == (left_out is not None)
    if left_out is None:
        with pytest.raises(GateClosedError):
            gate(judged)
    else:
        assert judged.quarantined == left_out
        gate(judged)


@given(st.lists(st.sets(st.integers(0, 60)), max_size=4), st.integers(1, 61))
def test_however_faults_fall_the_gate_is_open_for_at_most_a_twentieth_or_one(
    failing: list[set[int]], n_symbols: int
) -> None:
    judged = findings(result(success=True), *quarantine([at_fault(*each) for each in failing if each], n_symbols))
    named = set().union(*failing)
    assert judged.passed == (not named or (len(named) <= max(1, 0.05 * n_symbols) and len(named) < n_symbols))
    assert judged.quarantined == (named if judged.passed else set())


def test_importing_the_checks_does_not_import_great_expectations() -> None:
    heavy = ("great_expectations", "pandas", "yaml", "scipy")
    code = f"import sys, mlops.checks, mlops.cli.check; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_sql_types_are_those_of_great_expectations() -> None:
    """A misspelt type would close the gate for ever; see it here, not at night."""
    from great_expectations.expectations.registry import get_expectation_impl

    for _, expectation in ALL:
        if expectation.type != SQL:
            allowed = set(get_expectation_impl(expectation.type).__fields__)
            assert set(expectation.kwargs) <= allowed, expectation.name


def test_offsets_of_a_timezone_do_not_change_the_moment() -> None:
    tokyo = AS_OF.astimezone(timezone(timedelta(hours=9)))
    assert parameters(as_of=tokyo).literals == parameters().literals
