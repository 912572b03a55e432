"""Predictions that cannot be: refused by their table, and found by the migration where they are there already."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from databases import database, take_back
from small_world import World, register
from sqlalchemy import text

from mlops.domain import Role
from mlops.exceptions import WarehouseError
from mlops.forecasting import forecast
from mlops.warehouse import Warehouse
from mlops.warehouse.databases import beside
from mlops.warehouse.migrate import migrate

IMPOSSIBLE = [
    {"p10": "NaN", "p50": "NaN", "p90": "NaN"},
    {"p90": "NaN"},
    {"p90": "Infinity"},
    {"p10": "-Infinity"},
    {"p10": "-1"},
    {"probability_bullish": "5", "probability_neutral": "-4", "probability_bearish": "0"},
    {"probability_bullish": "NaN"},
    {"probability_bullish": "0", "probability_neutral": "1.5", "probability_bearish": "-0.5"},
]


@pytest.fixture
def world(warehouse: Warehouse) -> World:
    world = World(warehouse).build()
    register(warehouse, world.close_of(59))
    forecast(warehouse, world.close_of(80))
    return world


def insert(world: World, changes: dict[str, str]) -> None:
    """Write one prediction again as the worker does, a day later, with some values changed."""
    columns = [
        row.column_name
        for row in world.rows(
            "SELECT column_name FROM information_schema.columns "
            "WHERE (table_schema, table_name) = ('ml', 'predictions') AND column_name <> 'made_at'"
        )
    ]
    values = {name: f"'{value}'" for name, value in changes.items()} | {"as_of": "as_of + INTERVAL '1 day'"}
    with world.warehouse.begin() as connection:
        connection.execute(
            text(
                f"INSERT INTO ml.predictions ({', '.join(columns)}) "
                f"SELECT {', '.join(values.get(name, name) for name in columns)} FROM ml.predictions "
                "WHERE horizon = 1 ORDER BY symbol_id LIMIT 1"
            )
        )


@pytest.mark.parametrize("changes", IMPOSSIBLE, ids=str)
def test_what_cannot_be_is_refused(world: World, changes: dict[str, str]) -> None:
    with pytest.raises(WarehouseError, match="check constraint"):
        insert(world, changes)
    assert len(world.rows("SELECT * FROM ml.predictions")) == 12


def test_what_can_be_is_taken(world: World) -> None:
    insert(world, {"p10": "-0.999", "p50": "3", "p90": "40"})
    assert len(world.rows("SELECT * FROM ml.predictions")) == 13


@pytest.fixture
def before(server_url: str) -> Iterator[Warehouse]:
    """A database to go back with to before the table looked at what it takes."""
    with database(server_url, "template0") as name, Warehouse(beside(server_url, name)) as warehouse:
        migrate(warehouse)
        yield warehouse


def test_rows_that_are_there_already_stop_the_migration_with_what_to_do(before: Warehouse) -> None:
    world = World(before).build()
    register(before, world.close_of(59))
    forecast(before, world.close_of(80))
    take_back(before, "0005")
    insert(world, {"p90": "NaN"})
    with pytest.raises(WarehouseError) as refused:
        migrate(before)
    assert "1 rows of ml.predictions are impossible. Nothing was changed." in str(refused.value)
    assert "\n" not in str(refused.value)
    with before.begin(role=None) as connection:
        assert connection.execute(text("SELECT version_num FROM public.alembic_version")).scalar_one() == "0005"

    advice = str(refused.value).partition("As the owner: ")[2].partition(" CONTEXT:")[0]
    with before.begin(Role.OWNER) as connection:
        assert connection.execute(text(advice)).rowcount == 1
    migrate(before)
    assert len(world.rows("SELECT * FROM ml.predictions")) == 12
    with pytest.raises(WarehouseError, match="returns_can_be"):
        insert(world, {"p90": "NaN"})
