"""The catalogue of features and the rows of every set: made from the contracts, and all that Python reads of them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text
from technical import TECHNICAL_FEATURES

from mlops.checks import daily
from mlops.clock import parse_as_of
from mlops.domain import Role
from mlops.exceptions import FeaturesError
from mlops.features import build
from mlops.warehouse import Warehouse
from mlops.warehouse.feature_sets import read_feature_set, read_feature_sets

AS_OF = parse_as_of("2013-03-01")
PLANTED = """
    CREATE TABLE features.planted AS
    SELECT symbol_id, timeframe, ts, as_of, known_at, recorded_at, 'planted-1'::text AS feature_set_version,
        return_1, rsi_14 * 2 AS twice
    FROM features.technical
"""
REBUILT = """
    CREATE FUNCTION features.planted_at(bigint, text, timestamptz)
    RETURNS TABLE (ts timestamptz, as_of timestamptz, return_1 float8, twice float8) LANGUAGE sql STABLE AS
    'SELECT ts, as_of, return_1, rsi_14 * 2 FROM features.technical_at($1, $2, $3)'
"""


def rows(warehouse: Warehouse, query: str) -> list[tuple[object, ...]]:
    with warehouse.begin() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def publish(warehouse: Warehouse, *more: dict[str, object]) -> bool:
    """Declare the technical set as it stands, and `more`."""
    with warehouse.begin(Role.DBT) as connection:
        technical = read_feature_set(connection, "technical")
    with warehouse.begin(Role.DBT) as connection:
        declared: list[dict[str, object]] = [
            {
                "name": technical.name, "version": technical.version, "relation": technical.relation,
                "bars_before_first_row": 50,
                "features": [
                    {"name": each.name, "above": each.above, "at_least": each.at_least, "at_most": each.at_most}
                    for each in technical.features
                ],
            },
            *more,
        ]  # fmt: skip
        made: bool = connection.execute(
            text("SELECT features.publish_feature_sets('features', CAST(:declared AS jsonb))"),
            {"declared": json.dumps(declared)},
        ).scalar_one()
    return made


def planted(*names: str) -> dict[str, object]:
    return {
        "name": "planted", "version": "planted-1", "relation": "features.planted", "bars_before_first_row": 50,
        "features": [{"name": name} for name in names],
    }  # fmt: skip


@pytest.fixture
def two_sets(featured: Warehouse) -> Warehouse:
    """The sample with a second set beside the technical one, which has a feature of the same name."""
    with featured.begin(Role.DBT) as connection:
        connection.execute(text(PLANTED))
        connection.execute(text(REBUILT))
    assert publish(featured, planted("twice", "return_1"))
    return featured


def test_dbt_publishes_the_contract_in_its_order_with_the_bounds_of_each_feature(featured: Warehouse) -> None:
    with featured.begin() as connection:
        [technical] = read_feature_sets(connection).values()
    assert (technical.name, technical.version, technical.relation) == ("technical", "technical-1", "features.technical")
    assert technical.names == TECHNICAL_FEATURES
    assert technical.bars_before_first_row == 50
    for each in technical.features:
        assert (each.above is None) != (each.at_least is None)
        assert each.at_most is not None
        assert each.why


def test_a_row_has_the_features_of_its_bar_in_the_order_of_the_catalogue(featured: Warehouse) -> None:
    names = ", ".join(TECHNICAL_FEATURES)
    wide = rows(featured, f"SELECT symbol_id, ts, as_of, {names} FROM features.technical ORDER BY 1, 2")
    packed = rows(
        featured,
        "SELECT symbol_id, ts, as_of, features, n_missing FROM features.vectors WHERE feature_set = 'technical' "
        "ORDER BY 1, 2",
    )
    assert len(wide) == len(packed) > 10_000
    assert [row[:3] for row in wide] == [row[:3] for row in packed]
    assert [list(row[3:]) for row in wide] == [row[3] for row in packed]
    assert [sum(value is None for value in row[3:]) for row in wide] == [row[4] for row in packed]


def test_a_set_is_rebuilt_by_its_name_from_what_was_known(two_sets: Warehouse) -> None:
    moment = "1, 'd1', '2012-05-01'"
    [own] = rows(two_sets, f"SELECT * FROM features.technical_at({moment})")
    [rebuilt] = rows(two_sets, f"SELECT * FROM features.vector_at('technical', {moment})")
    assert [*own[:2], list(own[2:])] == list(rebuilt)
    [other] = rows(two_sets, f"SELECT features FROM features.vector_at('planted', {moment})")
    names = list(TECHNICAL_FEATURES)
    assert other[0] == [2 * own[2 + names.index("rsi_14")], own[2]]  # type: ignore[operator]
    assert rows(two_sets, f"SELECT * FROM features.vector_at('no such', {moment})") == []


def test_rows_of_one_set_are_read_without_the_table_of_another(two_sets: Warehouse) -> None:
    query = "SELECT features FROM features.vectors WHERE feature_set = :name AND symbol_id = 1 AND timeframe = 'd1'"
    for name, other in (("technical", "planted"), ("planted", "technical")):
        with two_sets.begin() as connection:
            plan = "\n".join(connection.execute(text(f"EXPLAIN VERBOSE {query}"), {"name": name}).scalars())
        tables = {"technical": "_hyper_", "planted": "features.planted"}
        assert tables[name] in plan
        assert tables[other] not in plan
    assert rows(two_sets, "SELECT feature FROM features.catalog WHERE feature_set = 'planted' ORDER BY position") == [
        ("twice",),
        ("return_1",),
    ]


def test_each_set_is_checked_by_itself_where_nothing_forecasts_yet(two_sets: Warehouse) -> None:
    with two_sets.begin(Role.DBT) as connection:
        connection.execute(text("UPDATE features.planted SET twice = 'NaN' WHERE ts > '2013-02-25'"))
    findings = daily(two_sets, AS_OF, suites=["features"])
    assert {(each.expectation, each.relation) for each in findings.failures} == {
        ("twice_is_possible", "features.planted")
    }
    of_both = {each.relation for each in findings.results if each.expectation == "return_1_is_possible"}
    assert of_both == {"features.technical", "features.planted"}
    kept = rows(two_sets, "SELECT count(*), count(DISTINCT relation) FROM monitoring.check_results")
    assert kept == [(len(findings.results), 2)]


def test_a_set_that_nothing_can_rebuild_has_no_part_in_the_proof(two_sets: Warehouse) -> None:
    with two_sets.begin(Role.DBT) as connection:
        connection.execute(text("DROP FUNCTION features.planted_at"))
    assert publish(two_sets, planted("twice", "return_1"))
    assert rows(two_sets, "SELECT * FROM features.vector_at('planted', 1, 'd1', '2012-05-01')") == []


def test_what_is_there_already_is_left_alone_and_what_is_gone_disappears(two_sets: Warehouse) -> None:
    assert not publish(two_sets, planted("twice", "return_1"))
    assert publish(two_sets, planted("return_1"))
    with two_sets.begin(Role.DBT) as connection:
        connection.execute(text("DROP TABLE features.planted CASCADE"))
        gone = connection.execute(text("SELECT to_regclass('features.vectors')")).scalar_one()
    assert gone is None
    assert publish(two_sets, planted("return_1"))
    with two_sets.begin() as connection:
        assert list(read_feature_sets(connection)) == ["technical"]


def test_two_at_once_make_the_same(two_sets: Warehouse) -> None:
    def change(i: int) -> bool:
        return publish(two_sets, planted("return_1") if i % 2 else planted("twice"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(change, range(12)))
    publish(two_sets, planted("twice"))
    assert rows(two_sets, "SELECT features FROM features.vectors WHERE feature_set = 'planted' LIMIT 0") == []
    with two_sets.begin() as connection:
        assert read_feature_set(connection, "planted").names == ("twice",)


def test_before_the_first_build_there_are_no_features_and_whoever_wants_some_is_told(warehouse: Warehouse) -> None:
    assert rows(warehouse, "SELECT * FROM features.catalog") == rows(warehouse, "SELECT * FROM features.vectors") == []
    with (
        pytest.raises(FeaturesError, match=r"no feature set 'technical'.*There are none yet\..*features build"),
        warehouse.begin() as connection,
    ):
        read_feature_set(connection, "technical")
    [closed] = [each for each in daily(warehouse, AS_OF).results if each.suite == "features"]
    assert not closed.success
    assert "there are no features yet. Build them: `forecastle features build`" in closed.observed


def test_a_build_restores_what_was_dropped(featured: Warehouse) -> None:
    with featured.begin(Role.DBT) as connection:
        connection.execute(text("DROP VIEW features.vectors"))
    build(featured)
    assert rows(featured, "SELECT count(*) > 10000 FROM features.vectors") == [(True,)]
