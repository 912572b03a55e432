"""What is added touches what it is made of and nothing else: done in a scratch copy, and gone the whole way with."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from mlops.warehouse import Warehouse

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/add-features.md").read_text(encoding="utf-8")
PACKAGES = ("mlops", "jobs", "migrations", "expectations", "dbt_project", "specs")
TRAINED, AFTER, DAY_AFTER = "2012-12-03", "2013-01-31", "2013-02-28"


def block(file: str) -> str:
    """Return the block of the page that stands below the name of `file`."""
    found = re.search(rf"`{re.escape(file)}`(?:, which[^\n]*)?:\n\n```\w+\n(.*?)```", PAGE, flags=re.DOTALL)
    assert found, file
    return found[1]


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """A copy of the code, and a folder of its own for what dbt keeps."""
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "target", "logs")
        )
    return tmp_path


def forecastle(scratch: Path, warehouse: Warehouse, *arguments: str) -> str:
    environment = {
        **os.environ, "PYTHONPATH": str(scratch), "FORECASTLE_HOME": str(scratch / "home"),
        "FORECASTLE_DATABASE_URL": warehouse.plain_url, "COLUMNS": "200",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", "from mlops.cli import main; main()", *arguments],
        cwd=scratch, env=environment, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, f"{arguments}: {done.stdout[-2000:]} {done.stderr[-2000:]}"
    return done.stdout


def changed(scratch: Path) -> set[str]:
    """Return the files of the copy that are new or others than here."""
    files = [file for package in PACKAGES for file in (scratch / package).rglob("*") if file.is_file()]
    return {
        name
        for name, file in ((str(file.relative_to(scratch)), file) for file in files)
        if "__pycache__" not in name and (not (ROOT / name).exists() or (ROOT / name).read_bytes() != file.read_bytes())
    }


def rows(warehouse: Warehouse, query: str) -> list[tuple[object, ...]]:
    with warehouse.begin() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def go_the_way(scratch: Path, warehouse: Warehouse, spec: str) -> None:
    """Build, check, train, export, forecast, outcomes, drift."""
    forecastle(scratch, warehouse, "features", "build")
    forecastle(scratch, warehouse, "train", spec, "--as-of", TRAINED)
    forecastle(scratch, warehouse, "check", "--as-of", AFTER)
    forecastle(scratch, warehouse, "forecast", "--as-of", AFTER)
    forecastle(scratch, warehouse, "outcomes", "--as-of", DAY_AFTER)
    forecastle(scratch, warehouse, "drift", "--as-of", DAY_AFTER)


def test_a_feature_set_is_a_model_with_its_contract_and_a_specification(featured: Warehouse, scratch: Path) -> None:
    files = ("dbt_project/models/features/month.sql", "dbt_project/models/features/_month__models.yml")
    for file in files:
        (scratch / file).write_text(block(file.removeprefix("dbt_project/")), encoding="utf-8")
    spec = "specs/stocks_d1/month.toml"
    # It is the first version of the model here: in production, so that its drift is measured.
    (scratch / spec).write_text(block(spec).replace('later = "challenger"', 'first = "production"'), encoding="utf-8")
    assert changed(scratch) == {*files, spec}

    go_the_way(scratch, featured, "stocks_d1/month")

    assert rows(featured, "SELECT feature_set, feature_set_version, features FROM ml.version_inputs") == [
        ("month", "month-1", ["day_of_month", "day_of_week", "day_range"])
    ]
    assert rows(featured, "SELECT count(*) FROM ml.predictions") == [(20,)]
    assert rows(featured, "SELECT count(*) FROM ml.outcomes WHERE horizon = 5") == [(5,)]
    assert rows(
        featured,
        "SELECT feature, n_current > 50 FROM monitoring.feature_drift WHERE feature LIKE 'day%' ORDER BY feature",
    ) == [("day_of_month", True), ("day_of_week", True), ("day_range", True)]
    of_the_set = "relation = 'features.month' AND success"
    assert rows(featured, f"SELECT count(*) > 5 FROM monitoring.check_results WHERE {of_the_set}") == [(True,)]
    proof = "expectation = 'features_equal_a_rebuild_at_the_cutoff' AND query LIKE '%''month''%'"
    assert rows(featured, f"SELECT success FROM monitoring.check_results WHERE {proof}") == [(True,)]


def test_a_feature_that_has_seen_the_future_closes_the_gate(featured: Warehouse, scratch: Path) -> None:
    for name in ("month.sql", "_month__models.yml"):
        file = scratch / "dbt_project/models/features" / name
        written = block(f"models/features/{name}")
        ahead = "lead(bars.close) over (partition by bars.symbol_id, bars.timeframe order by bars.ts) / bars.close"
        file.write_text(
            written.replace("(bars.high - bars.low) / bars.close", f"coalesce({ahead}, 1)"), encoding="utf-8"
        )
    (scratch / "specs/stocks_d1/month.toml").write_text(block("specs/stocks_d1/month.toml"), encoding="utf-8")
    forecastle(scratch, featured, "features", "build")
    with pytest.raises(AssertionError, match="features_equal_a_rebuild_at_the_cutoff"):
        forecastle(scratch, featured, "train", "stocks_d1/month", "--as-of", TRAINED)
    assert rows(featured, "SELECT count(*) FROM ml.versions") == [(0,)]


def test_a_feature_is_an_expression_and_its_column_in_the_contract(featured: Warehouse, scratch: Path) -> None:
    macro = "dbt_project/macros/technical/technical_features.sql"
    contract = "dbt_project/models/features/_features__models.yml"
    for file, before in ((macro, "    close / close_5 - 1 as return_5,\n"), (contract, "      - name: ema_12\n")):
        written = (scratch / file).read_text(encoding="utf-8")
        assert written.count(before) == 1
        added = block(file.removeprefix("dbt_project/"))
        (scratch / file).write_text(written.replace(before, added + before), encoding="utf-8")
    assert changed(scratch) == {macro, contract}

    go_the_way(scratch, featured, "stocks_d1/gbm")

    [(names,)] = rows(featured, "SELECT features FROM ml.version_inputs")
    assert isinstance(names, list)
    assert names[-1] == "direction_1"
    assert len(names) == 21
    assert rows(featured, "SELECT count(*) FROM ml.predictions") == [(20,)]
    assert rows(featured, "SELECT n_current > 50 FROM monitoring.feature_drift WHERE feature = 'direction_1'") == [
        (True,)
    ]
    checked = "SELECT DISTINCT success FROM monitoring.check_results WHERE expectation = 'direction_1_is_possible'"
    assert rows(featured, checked) == [(True,)]
