"""What each role may do, tried as somebody who means harm would."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator

import pytest
from databases import administer
from small_world import World, register
from sqlalchemy import text

from mlops.domain import Role
from mlops.exceptions import WarehouseError
from mlops.forecasting import forecast
from mlops.warehouse import Warehouse

DERIVED = ("staging", "features", "labels", "analytics")


@pytest.fixture(scope="module")
def login(server_url: str) -> Iterator[str]:
    """The name of a login such as a daemon has: worker and dbt, nothing else."""
    name = f"daemon_{uuid.uuid4().hex[:8]}"
    administer(server_url, f"CREATE ROLE {name} LOGIN PASSWORD 'x' IN ROLE forecastle_worker, forecastle_dbt")
    yield name
    administer(server_url, f"DROP ROLE {name}")


@pytest.fixture
def daemon(featured: Warehouse, login: str) -> Iterator[Warehouse]:
    """A database with features, logged in to as a daemon does."""
    url = featured.url.set(username=login, password="x").render_as_string(hide_password=False)  # noqa: S106
    with Warehouse(url) as warehouse:
        yield warehouse


@pytest.fixture
def world(warehouse: Warehouse) -> World:
    """A small world with a model and forecasts."""
    world = World(warehouse).build()
    register(warehouse, world.close_of(40))
    forecast(warehouse, world.close_of(60))
    return world


@pytest.mark.parametrize("role", [Role.WORKER, Role.DBT])
@pytest.mark.parametrize(
    ("table", "columns", "values"),
    [
        ("ml.alias_moves", "model, alias, to_version, reason, moved_by", "'tiny', 'staging', 1, 'x', 'the boss'"),
        ("ml.alias_moves", "model, alias, to_version, reason, moved_at", "'tiny', 'staging', 1, 'x', '2000-01-01'"),
        ("ml.alias_moves", "model, alias, to_version, reason, from_version", "'tiny', 'staging', 1, 'x', 7"),
    ],
)
def test_nobody_writes_who_moved_an_alias_or_when(
    world: World, role: Role, table: str, columns: str, values: str
) -> None:
    with pytest.raises(WarehouseError, match="permission denied"), world.warehouse.begin(role) as connection:
        connection.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({values})"))


@pytest.mark.parametrize(
    ("table", "column"), [("predictions", "made_at"), ("versions", "created_at"), ("artifacts", "created_at")]
)
def test_nobody_writes_when_something_was_made(world: World, table: str, column: str) -> None:
    """A forecast that claims to have been made before its outcome was known is the worst lie there is."""
    columns = [row.name for row in world.rows(
        "SELECT attname AS name FROM pg_attribute WHERE attrelid = CAST(:t AS regclass) AND attnum > 0 "
        "AND attgenerated = '' AND NOT attisdropped", t=f"ml.{table}"
    )]  # fmt: skip
    assert column in columns
    others = ", ".join(name for name in columns if name != column)
    copied = f"INSERT INTO ml.{table} ({others}, {column}) SELECT {others}, '2000-01-01' FROM ml.{table}"
    with pytest.raises(WarehouseError, match="permission denied"), world.warehouse.begin() as connection:
        connection.execute(text(copied))
    with pytest.raises(WarehouseError, match=r"permission denied|append-only"), world.warehouse.begin() as connection:
        connection.execute(text(f"UPDATE ml.{table} SET {column} = '2000-01-01'"))


def test_the_database_says_when_a_forecast_was_made_and_who_moved_an_alias(world: World) -> None:
    made = world.rows(
        "SELECT DISTINCT made_at, abs(extract(epoch FROM now() - made_at)) < 60 AS just_now FROM ml.predictions"
    )
    assert [row.just_now for row in made] == [True]
    moves = world.rows("SELECT moved_by = session_user AS by_us, moved_at <= now() AS by_now FROM ml.alias_moves")
    assert [tuple(row) for row in moves] == [(True, True)]


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE ml.versions DISABLE TRIGGER is_immutable",
        "ALTER TABLE ml.artifacts DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
        "DROP TABLE ml.predictions",
        "TRUNCATE ml.predictions",
        "DELETE FROM ml.predictions",
        "UPDATE ml.aliases SET version = 1",
        "DELETE FROM market.bars",
        "ALTER TABLE market.bars DISABLE TRIGGER ALL",
        "CREATE OR REPLACE FUNCTION ml.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "DROP SCHEMA ml CASCADE",
        "CREATE TABLE ml.mine (i int)",
        "CREATE TABLE public.mine (i int)",
        "CREATE SCHEMA mine",
        "UPDATE public.alembic_version SET version_num = '0001'",
        "GRANT forecastle_owner TO CURRENT_USER",
        "SET ROLE forecastle_owner",
        "INSERT INTO ml.unresolved DEFAULT VALUES",
    ],
)
@pytest.mark.parametrize("role", [None, Role.WORKER, Role.DBT])
def test_a_daemons_login_cannot_undo_what_keeps_the_registry_honest(
    daemon: Warehouse, role: Role | None, statement: str
) -> None:
    refused = r"permission denied|must be owner|append-only|not permitted"
    with pytest.raises(WarehouseError, match=refused), daemon.begin(role) as connection:
        connection.execute(text(statement))


def test_each_schema_belongs_to_who_fills_it(featured: Warehouse) -> None:
    """dbt owns the four that it derives, whole, and nothing else; the worker and the analyst own nothing."""
    query = """
        SELECT DISTINCT space, owner FROM (
            SELECT relnamespace::regnamespace::text AS space, relowner::regrole::text AS owner FROM pg_class
            UNION ALL SELECT pronamespace::regnamespace::text, proowner::regrole::text FROM pg_proc
            UNION ALL SELECT nspname, nspowner::regrole::text FROM pg_namespace
        ) AS owned WHERE space = ANY(:spaces) ORDER BY space
    """
    ours = ["market", "ml", "monitoring", *DERIVED]
    with featured.begin(role=None) as connection:
        owners = {tuple(row) for row in connection.execute(text(query), {"spaces": ours})}
    assert owners == {(space, "forecastle_dbt" if space in DERIVED else "forecastle_owner") for space in ours}


def test_the_worker_places_a_version_and_never_promotes(world: World) -> None:
    register(world.warehouse, world.close_of(40), version=2, candidate="other", alias="challenger")
    for statement in ("SELECT ml.promote('tiny', 2, 'mine')", "SELECT ml.rollback('tiny', 'mine')"):
        with pytest.raises(WarehouseError, match="permission denied"), world.warehouse.begin(Role.WORKER) as connection:
            connection.execute(text(statement))
    with pytest.raises(WarehouseError, match=r"only ml\.promote"), world.warehouse.begin(Role.WORKER) as connection:
        connection.execute(text("SELECT ml.place_version('tiny', 2, 'production', 'mine')"))
    with pytest.raises(WarehouseError, match="permission denied"), world.warehouse.begin(Role.APPROVER) as connection:
        connection.execute(text("SELECT * FROM ml.versions"))
    assert [(row.alias, row.version) for row in world.rows("SELECT * FROM ml.aliases ORDER BY alias")] == [
        ("challenger", 2),
        ("production", 1),
    ]


def test_a_rollback_goes_one_further_back_each_time(world: World) -> None:
    """Promoted are 2, 3, back to 2, then 4: behind 4 lie 2 and 1, and not 3, which was taken back."""

    def call(statement: str) -> int | None:
        with world.warehouse.begin(Role.APPROVER) as connection:
            result: int | None = connection.execute(text(f"SELECT ml.{statement}")).scalar_one()
            return result

    for version in (2, 3, 4):
        register(world.warehouse, world.close_of(40), version=version, alias=None)
    assert [call("promote('tiny', 2, 'a')"), call("promote('tiny', 3, 'b')")] == [1, 2]
    assert call("rollback('tiny', 'c')") == 2
    assert call("promote('tiny', 4, 'd')") == 2
    assert [call("rollback('tiny', 'e')"), call("rollback('tiny', 'f')")] == [2, 1]
    with pytest.raises(WarehouseError, match="no version of tiny was in production before v1"):
        call("rollback('tiny', 'g')")
    moves = world.rows("SELECT kind, from_version, to_version, moved_by = session_user AS by_us FROM ml.alias_moves")
    assert [tuple(move) for move in moves] == [
        ("registration", None, 1, True), ("promotion", 1, 2, True), ("promotion", 2, 3, True),
        ("rollback", 3, 2, True), ("promotion", 2, 4, True), ("rollback", 4, 2, True), ("rollback", 2, 1, True),
    ]  # fmt: skip


def test_a_newer_version_takes_the_alias_from_its_own_candidate_only(world: World) -> None:
    for version, candidate in ((2, "a"), (3, "b"), (4, "a")):
        register(world.warehouse, world.close_of(40), version=version, candidate=candidate, alias="challenger")
    held = world.rows("SELECT version FROM ml.aliases WHERE alias = 'challenger' ORDER BY version")
    assert [row.version for row in held] == [3, 4]


def test_two_promotions_at_once_follow_each_other(world: World) -> None:
    for version in (2, 3):
        register(world.warehouse, world.close_of(40), version=version, alias=None)
    with world.warehouse.begin(Role.APPROVER) as first:
        first.execute(text("SELECT ml.promote('tiny', 2, 'first')"))
        replaced: list[int] = []

        def second() -> None:
            with world.warehouse.begin(Role.APPROVER) as connection:
                replaced.append(connection.execute(text("SELECT ml.promote('tiny', 3, 'second')")).scalar_one())

        waiting = threading.Thread(target=second)
        waiting.start()
        world.await_lock_waiters(1)
    waiting.join(30)
    assert replaced == [2]


@pytest.mark.parametrize("table", ["specs", "version_inputs", "components"])
def test_what_a_version_is_made_of_is_never_changed(world: World, table: str) -> None:
    for role in (Role.WORKER, Role.OWNER):
        with pytest.raises(WarehouseError, match=r"append-only|permission denied"), world.warehouse.begin(role) as c:
            c.execute(text(f"UPDATE ml.{table} SET model = model"))
