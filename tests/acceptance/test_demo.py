"""All stages on real prices, by the command that a newcomer types, and what an analyst then reads.

The command is that of a wheel in an environment that was empty before, run in an empty folder away from the checkout:
what lies in the checkout alone, or is installed for the tests alone, is missed here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from mlops.domain import Role
from mlops.warehouse import Warehouse
from mlops.warehouse.databases import beside

REPOSITORY = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")
EXPLANATORY = ("forecast_accuracy", "drift_monitoring", "feature_drift", "model_predictions", "training_runs")


Forecastle = Callable[..., subprocess.CompletedProcess[str]]


def checked(*arguments: str | Path) -> None:
    done = subprocess.run([str(argument) for argument in arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A virtual environment with the wheel of this checkout, what it requires, and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    passed_over = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "target", "logs", "tests")
    shutil.copytree(REPOSITORY, folder / "checkout", ignore=passed_over)  # building leaves its traces
    checked(UV, "build", "--wheel", "--out-dir", folder, folder / "checkout")
    (wheel,) = folder.glob("*.whl")
    constraints = folder / "checkout" / "constraints.txt"
    checked(UV, "venv", "--python", sys.executable, folder / "environment")
    python = folder / "environment" / "bin" / "python"
    checked(UV, "pip", "install", "--python", python, "--constraint", constraints, f"forecastle[demo] @ file://{wheel}")
    shutil.rmtree(folder / "checkout")
    yield folder / "environment"
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The empty folder that the commands are run in."""
    return tmp_path_factory.mktemp("elsewhere")


@pytest.fixture(scope="module")
def forecastle(environment: Path, elsewhere: Path, tmp_path_factory: pytest.TempPathFactory) -> Forecastle:
    """Run `forecastle ...` of the wheel, for a user who has nothing yet, on the database at `url`."""
    home = str(tmp_path_factory.mktemp("home"))

    def run(*arguments: str, url: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [environment / "bin" / "forecastle", *arguments],
            env={"PATH": os.defpath, "HOME": home, "FORECASTLE_DATABASE_URL": url, "FORECASTLE_HOME": home}
            | {"COLUMNS": "200"},
            cwd=elsewhere,
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )

    return run


@pytest.fixture(scope="module")
def demo(server_url: str, forecastle: Forecastle) -> Iterator[tuple[Warehouse, str]]:
    """The database after the demo, and what the demo printed."""
    ran = forecastle("demo", url=server_url)
    assert ran.returncode == 0, ran.stderr
    with Warehouse(beside(server_url, "forecastle_demo")) as warehouse:
        yield warehouse, ran.stdout
    admin = Warehouse(server_url)
    with admin.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("DROP DATABASE forecastle_demo WITH (FORCE)"))
    admin.close()


def rows(warehouse: Warehouse, query: str) -> list[tuple[object, ...]]:
    with warehouse.begin(Role.ANALYST) as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def content(warehouse: Warehouse) -> dict[str, list[tuple[object, ...]]]:
    return {view: sorted(rows(warehouse, f"SELECT * FROM {view}"), key=str) for view in EXPLANATORY}


def test_it_is_the_wheel_that_runs_and_leaves_nothing_where_it_runs(
    demo: tuple[Warehouse, str], environment: Path, elsewhere: Path
) -> None:
    asked = "import mlops, jobs, importlib.util as i; print(mlops.__file__, jobs.__file__, i.find_spec('pytest'))"
    python = environment / "bin" / "python"
    answer = subprocess.run([python, "-I", "-c", asked], cwd=elsewhere, capture_output=True, text=True, check=True)
    *files, pytest_there = answer.stdout.split()
    assert all(Path(file).is_relative_to(environment) for file in files)
    assert pytest_there == "None"
    assert list(elsewhere.iterdir()) == []


def test_it_prints_the_tables_and_the_line_to_connect(demo: tuple[Warehouse, str]) -> None:
    _, printed = demo
    for words in (
        "production's newest",
        "production and challengers",
        "Skill over naive on the test part",
        "validation baseline",
        "psql",
    ):
        assert words in printed
    assert "FROM ml_forecasts" in printed
    assert "(no rows)" not in printed


def test_the_query_of_every_handbook_works(demo: tuple[Warehouse, str]) -> None:
    warehouse, _ = demo
    found = rows(
        warehouse, "SELECT * FROM ml_forecasts WHERE symbol_id = (SELECT id FROM symbols WHERE ticker = 'AAPL') LIMIT 5"
    )
    assert len(found) == 4


def test_the_readme_prints_what_its_queries_print(demo: tuple[Warehouse, str]) -> None:
    """The same columns and as many rows; and where a figure is a fact of the prices, the same figure."""
    warehouse, _ = demo
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"```sql\n(.*?)```\s*```text\n(.*?)```", readme, re.DOTALL)
    assert len(shown) == 2
    for query, printed in shown:
        header, _, *lines = printed.strip("\n").splitlines()
        columns = [cell.strip() for cell in header.split("|")]
        said = [dict(zip(columns, (cell.strip() for cell in line.split("|")), strict=True)) for line in lines[:-1]]
        with warehouse.begin(Role.ANALYST) as connection:
            result = connection.execute(text(query))
            found = [{name: str(value) for name, value in row._mapping.items()} for row in result]
        assert [list(row) for row in found] == [list(row) for row in said]
        facts = {"ticker", "horizon", "target", "n", "naive_mae"}
        assert [{k: row[k] for k in row.keys() & facts} for row in found] == [
            {k: row[k] for k in row.keys() & facts} for row in said
        ]


def test_each_day_was_lived_through_once(demo: tuple[Warehouse, str]) -> None:
    warehouse, _ = demo
    jobs = dict(rows(warehouse, "SELECT job, count(*) FROM job_runs WHERE state = 'succeeded' GROUP BY job"))
    assert jobs == {
        "train": 3, "daily": 60, "ingest": 61, "features": 61, "check": 60, "forecast": 60, "outcomes": 60, "drift": 60,
    }  # fmt: skip
    assert rows(warehouse, "SELECT count(*) FROM job_runs WHERE state <> 'succeeded'") == [(0,)]


def test_outcomes_are_those_of_the_prices(demo: tuple[Warehouse, str]) -> None:
    """An oracle of its own: adjusted closes from the package's file, by plain pandas."""
    import bokeh_sampledata
    import pandas as pd

    warehouse, _ = demo
    prices = pd.read_csv(Path(bokeh_sampledata.__file__).parent / "_data" / "stocks.csv.gz", parse_dates=["Date"])
    checked = 0
    for ticker, series in prices.groupby("Ticker"):
        close = series.set_index("Date")["Adj Close"]
        found = rows(
            warehouse,
            "SELECT horizon, CAST(as_of AT TIME ZONE 'America/New_York' AS date), p50, actual, error "
            f"FROM model_predictions WHERE ticker = '{ticker}'",
        )
        for horizon, day, p50, actual, error in found:
            here = close.index.get_loc(pd.Timestamp(str(day)))
            ahead = here + int(str(horizon))
            if ahead >= len(close):
                assert actual is None
                continue
            expected = close.iloc[ahead] / close.iloc[here] - 1
            assert actual == pytest.approx(expected, rel=1e-6, abs=1e-9)
            assert error == pytest.approx(float(str(p50)) - expected, rel=1e-6, abs=1e-9)
            checked += 1
    # by production and two challengers, five stocks on 60 days, less the horizons that have not passed
    assert checked == 3 * 5 * sum(60 - horizon for horizon in (1, 5, 10, 20))


def test_production_a_challenger_and_the_practitioners_band_stand_side_by_side(demo: tuple[Warehouse, str]) -> None:
    warehouse, printed = demo
    assert rows(warehouse, "SELECT candidate, stage FROM model_registry ORDER BY version") == [
        ("gbm", "production"), ("forest", "challenger"), ("band", "challenger"),
    ]  # fmt: skip
    assert rows(warehouse, "SELECT DISTINCT candidate FROM ml_forecasts") == [("gbm",)]
    n = rows(warehouse, "SELECT role, count(*) FROM model_predictions GROUP BY role ORDER BY role")
    assert n == [("challenger", 2 * 60 * 5 * 4), ("production", 60 * 5 * 4)]
    for candidate in ("gbm", "forest", "band"):
        assert printed.count(f"{candidate} ") >= 8  # in both tables, at each horizon


def test_run_again_it_changes_nothing(demo: tuple[Warehouse, str], server_url: str, forecastle: Forecastle) -> None:
    warehouse, printed = demo
    before = content(warehouse)
    again = forecastle("demo", url=server_url)
    assert again.returncode == 0, again.stderr
    assert content(warehouse) == before
    # all but the line that says how long it took
    assert [line for line in again.stdout.splitlines() if " took " not in line] == [
        line for line in printed.splitlines() if " took " not in line
    ]


def test_the_commands_agree_with_the_views(
    demo: tuple[Warehouse, str], server_url: str, forecastle: Forecastle
) -> None:
    warehouse, _ = demo
    url = beside(server_url, "forecastle_demo")
    listed = forecastle("models", "list", "--json", url=url)
    assert listed.returncode == 0, listed.stderr
    assert len(json.loads(listed.stdout)) == rows(warehouse, "SELECT count(*) FROM model_registry")[0][0] == 3
