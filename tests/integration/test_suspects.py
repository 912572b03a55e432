"""Suspects: whatever row is wrong, its symbol is among those whose rows are looked at one by one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from datetime import timedelta

import pytest
from databases import database
from planted_faults import AAPL, AS_OF, NO_RULES
from sqlalchemy import Connection, text
from technical import DAILY_BARS, FORWARD

from mlops.checks import failing_rows, suites
from mlops.checks.parameters import Parameters
from mlops.datasets import materialise
from mlops.domain import Role
from mlops.exceptions import WarehouseError
from mlops.registry import start_run
from mlops.training import find_spec
from mlops.warehouse import Warehouse
from mlops.warehouse.background import read_in_background
from mlops.warehouse.databases import beside
from mlops.warehouse.feature_sets import read_feature_set

SPEC = find_spec("stocks_d1/gbm")

PRICES = ("{0} * 0.4", "{0} + 1e-6")
NUMBERS = ("{0} * 1.5 + 1e-3", "NULL", "'NaN'")
MOMENTS = ("{0} + INTERVAL '1 hour'", "{0} - INTERVAL '9 days'")
PLACES = (1, len(FORWARD.horizons))
COLUMNS = {
    "market.bars": {
        **dict.fromkeys(("open", "high", "low", "close"), PRICES),
        "known_at": MOMENTS,
        "ts": MOMENTS,
    },
    "features.technical": {
        **dict.fromkeys(("return_1", "gap_1", "range_1", "rsi_14"), NUMBERS),
        **dict.fromkeys(("as_of", "known_at"), MOMENTS),
    },
    "labels.forward": {
        **{f"forward_returns[{place}]": NUMBERS for place in PLACES},
        **{f"known_ats[{place}]": (*MOMENTS, "NULL") for place in PLACES},
        "as_of": MOMENTS,
    },
    "ml.training_rows": dict.fromkeys(("as_of", "label_known_at"), MOMENTS),
}
"""What may be wrong with a row: a column has another value. A row may be missing as well."""


def faults() -> Iterator[str]:
    """Give SQL, each for one fault in one row of a symbol, its 60th from the end: a row that is trained on."""
    for table, columns in COLUMNS.items():
        row = f"SELECT ts FROM {table} WHERE symbol_id = {AAPL} ORDER BY ts DESC OFFSET 60 LIMIT 1"
        which = f"WHERE symbol_id = {AAPL} AND ts = ({row})"
        yield f"DELETE FROM {table} {which}"
        if table == "market.bars":
            tripled = ", ".join(f"{price} = 3 * {price}" for price in ("open", "high", "low", "close", "adj_close"))
            yield f"UPDATE {table} SET {tripled} {which}"
        for column, changes in columns.items():
            for change in changes:
                yield f"UPDATE {table} SET {column} = {change.format(column)} {which}"


@pytest.fixture(scope="module")
def trained(server_url: str, featured_template: str) -> Iterator[Warehouse]:
    """A database with the sample's bars, features and labels, in which no rule of market.bars holds any more."""
    with database(server_url, featured_template) as name, Warehouse(beside(server_url, name)) as warehouse:
        yield warehouse


@pytest.fixture(scope="module")
def asked(trained: Warehouse) -> Parameters:
    """The values of the checks of a training run, whose rows are there."""
    with trained.begin(role=None) as connection:
        connection.execute(text(NO_RULES))
        run_id = start_run(connection, SPEC, AS_OF)
        materialise(connection, run_id, SPEC, AS_OF)
        connection.execute(text("ANALYZE market.bars, features.technical, labels.forward, ml.training_rows"))
        first = connection.execute(text("SELECT min(ts) FROM ml.training_rows")).scalar_one()
        features = read_feature_set(connection, "technical")
    return Parameters(
        as_of=AS_OF, timeframe=DAILY_BARS, run_id=run_id, window_start=first, month_start=AS_OF - timedelta(days=42),
        year_start=AS_OF - timedelta(days=365), feature_set=features, label_set=FORWARD,
    )  # fmt: skip


def test_every_symbol_with_a_failing_row_is_a_suspect(trained: Warehouse, asked: Parameters) -> None:
    found: set[str] = set()
    with trained.begin(role=None) as connection:
        for fault in faults():
            planted = connection.begin_nested()
            assert connection.execute(text(fault)).rowcount == 1
            found |= set(failing_of_suspects(connection, asked, fault))
            planted.rollback()
    narrowed = {
        each.name
        for suite in map(suites.load, suites.names())
        for each in suite.expectations
        if each.suspects is not None
    }
    assert found == narrowed, "an expectation that no fault made fail is not shown to be narrowed rightly"


def failing_of_suspects(connection: Connection, asked: Parameters, fault: str) -> Iterator[str]:
    """Give the names of the expectations that fail, all of whose failing symbols are suspects."""
    for suite in (suites.expected_of(suites.load(name), asked.feature_set, asked.label_set) for name in suites.names()):
        for label, suspects in suite.suspects.items():
            query = failing_rows.fill(suspects.query, suite.batches[suspects.batch], asked)
            suspected = set(connection.exec_driver_sql(query).scalars())
            for each in suite.expectations:
                if each.suspects == label:
                    query = failing_rows.query(each, suite.batches[each.batch], asked)
                    rows = f"SELECT symbol_id FROM ({query}) AS failing"
                    failing = set(connection.exec_driver_sql(rows).scalars())
                    assert failing <= suspected, f"{fault}: {each.name} fails for one that is no suspect of {label}"
                    if failing:
                        yield each.name


def test_statements_run_beside_each_other(warehouse: Warehouse) -> None:
    began = time.monotonic()
    with read_in_background(warehouse, Role.WORKER, {n: f"SELECT {n} FROM pg_sleep(1)" for n in range(3)}) as answers:
        assert [answers[n].rows() for n in range(3)] == [[(0,)], [(1,)], [(2,)]]
    assert time.monotonic() - began < 2.5


def test_one_that_fails_says_so_where_its_rows_are_asked_for(warehouse: Warehouse) -> None:
    with read_in_background(
        warehouse, Role.WORKER, {"good": "SELECT 1", "bad": "SELECT 1 FROM nowhere.to_be_found"}
    ) as answers:
        assert answers["good"].rows() == [(1,)]
        with pytest.raises(WarehouseError):
            answers["bad"].rows()


def test_what_has_not_ended_with_the_block_is_cancelled(warehouse: Warehouse) -> None:
    began = time.monotonic()
    with read_in_background(warehouse, Role.WORKER, dict.fromkeys(range(9), "SELECT pg_sleep(60)")) as answers:
        time.sleep(0.5)
    assert time.monotonic() - began < 20
    for answer in answers.values():
        with pytest.raises((WarehouseError, CancelledError)):
            answer.rows()
