"""`forecastle check` on the sample: what it prints, and that a fault closes the gate for whoever calls it."""

from __future__ import annotations

import json

import pytest
from planted_faults import FAULTS
from sqlalchemy import text
from typer.testing import CliRunner

from mlops.cli.commands import app
from mlops.exceptions import GateClosedError
from mlops.warehouse import Warehouse


def check(warehouse: Warehouse, *arguments: str) -> tuple[int, str, BaseException | None]:
    result = CliRunner().invoke(
        app, ["check", "--as-of", "2013-03-01", "--database-url", warehouse.plain_url, *arguments]
    )
    return result.exit_code, result.output, result.exception


def test_clean_data_are_let_through(featured: Warehouse) -> None:
    code, output, _ = check(featured)
    assert code == 0
    assert "0 failed" in output
    code, output, _ = check(featured, "--suite", "freshness", "--all", "--json")
    assert code == 0
    said = json.loads(output)
    assert said["passed"] is True
    assert [each["expectation"] for each in said["results"]] == ["month_has_bars", "newest_session_is_there"]


def test_a_fault_closes_the_gate(featured: Warehouse) -> None:
    with featured.begin(role=None) as connection:
        connection.execute(text(FAULTS["features"]["rsi_14_is_possible"]))
    code, output, error = check(featured, "--suite", "features")
    assert code == 1
    assert "1 failed" in output
    assert isinstance(error, GateClosedError)  # main prints its two lines
    code, output, error = check(featured, "--suite", "features", "--json")
    assert code == 1
    assert json.loads(output)["passed"] is False
    with featured.begin(role=None) as connection:
        seen = connection.execute(
            text("SELECT DISTINCT suite, expectation FROM analytics.data_quality WHERE NOT success")
        ).all()
    assert seen == [("features", "rsi_14_is_possible")]


@pytest.mark.parametrize("suite", ["training_set", "markets"])
def test_another_suite_is_wrong_usage(featured: Warehouse, suite: str) -> None:
    code, output, _ = check(featured, "--suite", suite)
    assert code == 2
    assert suite in output


def test_a_suite_is_a_line_and_what_failed_is_below_it(featured: Warehouse) -> None:
    with featured.begin(role=None) as connection:
        connection.execute(text(FAULTS["market"]["year_is_complete"]))
    code, output, _ = check(featured, "--suite", "market", "--suite", "freshness")
    assert code == 0
    lines = [line for line in output.splitlines() if line]
    market = next(number for number, line in enumerate(lines) if line.startswith("market"))
    assert "ok" in lines[market]
    assert "(1 for symbols that are in quarantine)" in lines[market]
    assert lines[market + 1].strip().startswith("year_is_complete: 1 row at fault, of 1 symbol")
    assert lines[market + 2].startswith("freshness")
    assert "1 symbol in quarantine; the view quarantine names them." in lines
    assert len(lines) == 6
