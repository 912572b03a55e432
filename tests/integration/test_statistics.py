"""The planner's statistics of forecasts and outcomes: gathered when much is new, and not when little is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from small_world import World, register
from sqlalchemy import text

from mlops.domain import Role
from mlops.exceptions import WarehouseError
from mlops.forecasting import forecast
from mlops.outcomes import resolve
from mlops.warehouse import Warehouse, sql
from mlops.warehouse.statistics import gather_statistics

MANY = 11_200
"""A little more than 10,000 and a tenth of itself."""

PREDICTIONS = """
    INSERT INTO ml.predictions
    SELECT 'planted', 1, i, 'd1', 1, TIMESTAMPTZ '2020-01-01Z', '2020-01-01Z', '2020-01-02Z',
        -0.1, 0, 0.1, 'BULLISH', 1, 0, 0
    FROM generate_series(CAST(:first AS integer), :last) AS i
"""
OUTCOMES = """
    INSERT INTO ml.outcomes (
        model, version, symbol_id, timeframe, horizon, as_of, ts, actual, actual_direction, error, naive_error, hit,
        covered, confidence, quantiles_below, known_at, recorded_at
    )
    SELECT model, version, symbol_id, timeframe, horizon, as_of, ts, 0, 'NEUTRAL', 0, 0, false, true,
        1, 1, target_ts, target_ts
    FROM ml.predictions WHERE model = 'planted'
"""


@pytest.fixture
def world(warehouse: Warehouse) -> World:
    world = World(warehouse).build()
    register(warehouse, world.close_of(20))
    return world


def plant(world: World, statement: str, **parameters: object) -> None:
    """Write rows, and have them counted at once."""
    with world.warehouse.begin(role=None) as connection:
        connection.execute(text(statement), parameters)
        connection.execute(text("SELECT pg_stat_force_next_flush()"))


def is_known(world: World, table: str) -> bool:
    """Whether there are statistics of the whole hypertable."""
    with world.warehouse.begin(role=None) as connection:
        return bool(
            connection.execute(
                text("SELECT count(*) FROM pg_stats WHERE schemaname = 'ml' AND tablename = :table AND inherited"),
                {"table": table},
            ).scalar_one()
        )


def test_many_forecasts_are_analyzed_once_and_few_are_not(world: World) -> None:
    plant(world, PREDICTIONS, first=1, last=MANY)
    assert gather_statistics(world.warehouse, "ml.predictions", 0)
    assert is_known(world, "predictions")
    assert not gather_statistics(world.warehouse, "ml.predictions", 0)
    plant(world, PREDICTIONS, first=MANY + 1, last=2 * MANY)
    assert not gather_statistics(world.warehouse, "ml.predictions", 0), "a tenth of what is there comes on top"
    plant(world, PREDICTIONS, first=2 * MANY + 1, last=3 * MANY)
    assert gather_statistics(world.warehouse, "ml.predictions", 0)


def test_what_was_just_written_counts_though_nobody_has_counted_it(world: World) -> None:
    assert not gather_statistics(world.warehouse, "ml.outcomes", 10_000)
    assert gather_statistics(world.warehouse, "ml.outcomes", 10_001)


def test_a_forecast_run_gathers_what_is_due(world: World) -> None:
    forecast(world.warehouse, world.close_of(60))
    assert not is_known(world, "predictions")
    plant(world, PREDICTIONS, first=1, last=MANY)
    forecast(world.warehouse, world.close_of(61))
    assert is_known(world, "predictions")


def test_resolving_gathers_what_is_due(world: World) -> None:
    forecast(world.warehouse, world.close_of(60))
    resolve(world.warehouse, world.close_of(90))
    assert not is_known(world, "outcomes")
    plant(world, PREDICTIONS, first=1, last=MANY)
    plant(world, OUTCOMES)
    resolve(world.warehouse, world.close_of(91))
    assert is_known(world, "outcomes")


def test_resolving_expects_many_where_the_statistics_are_of_later_days(world: World) -> None:
    """Expecting one open forecast, it would hold each against each: hours where there are two million."""
    forecast(world.warehouse, world.close_of(61))
    with world.warehouse.begin(role=None) as connection:
        connection.execute(text("ANALYZE ml.unresolved"))
    plant(world, PREDICTIONS, first=1, last=MANY)
    with world.warehouse.begin() as connection:
        statement = f"EXPLAIN (FORMAT JSON) {sql('outcomes', 'resolve')}"
        asked = {"as_of": world.close_of(60), "first": world.close_of(0), "last": world.close_of(60)}
        (plan,) = connection.execute(text(statement), asked).scalar_one()
    expected = [node["Plan Rows"] for node in nodes(plan["Plan"]) if node.get("CTE Name") == "open_forecasts"]
    assert min(expected) > MANY / 100


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give a plan's nodes, itself among them."""
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)


def test_the_worker_can_have_nothing_else_analyzed_and_the_analyst_nothing(world: World) -> None:
    with (
        pytest.raises(WarehouseError, match=r"statistics of ml\.runs are not gathered"),
        world.warehouse.begin() as connection,
    ):
        connection.execute(text("SELECT ml.gather_statistics('ml.runs', 20000)"))
    with pytest.raises(WarehouseError, match="permission denied"), world.warehouse.begin(Role.ANALYST) as connection:
        connection.execute(text("SELECT ml.gather_statistics('ml.outcomes', 20000)"))
