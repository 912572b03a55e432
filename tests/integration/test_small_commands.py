"""`init`, `db status`, `db url --dbt`, and what holds of all commands: errors as JSON, progress or none."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlops.cli.commands import ORDER, app
from mlops.training import family_names, load_spec
from mlops.warehouse import Warehouse


def forecastle(*arguments: str, cwd: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FORECASTLE_")}
    return subprocess.run(
        [sys.executable, "-c", "from mlops.cli import main; main()", *arguments],
        cwd=cwd, env=kept | more, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize("family", family_names())
def test_a_first_specification_can_be_read_and_has_every_hyperparameter(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warehouse: Warehouse
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FORECASTLE_DATABASE_URL", warehouse.plain_url)
    done = CliRunner().invoke(app, ["init", "mine_d1/first", "--family", family, "--asset-class", "fx"])
    assert done.exit_code == 0, done.output
    assert "`forecastle train mine_d1/first`" in done.output
    file = tmp_path / "specs/mine_d1/first.toml"
    spec = load_spec(file)
    assert (spec.name, spec.family, spec.universe.asset_class) == ("mine_d1/first", family, "fx")
    assert (spec.promotion.first, spec.promotion.later) == ("staging", "staging")
    text = file.read_text(encoding="utf-8")
    assert all(f"\n{key} = " in text for key in type(spec.hyperparameters).model_fields)


def test_init_asks_for_the_horizons_of_the_timeframe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warehouse: Warehouse
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FORECASTLE_DATABASE_URL", warehouse.plain_url)
    assert CliRunner().invoke(app, ["init", "mine_w1/first", "--timeframe", "w1"]).exit_code == 0
    assert load_spec(tmp_path / "specs/mine_w1/first.toml").horizons == (1, 4, 13, 26)


def test_init_overwrites_nothing_and_says_what_is_wrong(tmp_path: Path, warehouse: Warehouse) -> None:
    database = {"FORECASTLE_DATABASE_URL": warehouse.plain_url}
    for arguments, told in (
        (("My Model",), "Use MODEL/CANDIDATE"),
        (("../x/y",), "Use MODEL/CANDIDATE"),
        (("mine/a", "--family", "magic"), "family: 'magic' was given; it should be"),
        (("mine/a", "--timeframe", "d2"), "There is no timeframe 'd2'. Use one of m1, m5"),
        (("mine/a", "--asset-class", "art"), "universe.asset_class: 'art' was given"),
    ):
        done = forecastle("init", *arguments, cwd=tmp_path, **database)
        assert (done.returncode, done.stdout) == (1, "")
        assert told in done.stderr
    assert list(tmp_path.iterdir()) == []
    assert forecastle("init", "mine/a", cwd=tmp_path, **database).returncode == 0
    (tmp_path / "specs/mine/a.toml").write_text("mine", encoding="utf-8")
    again = forecastle("init", "mine/a", cwd=tmp_path, **database)
    assert (again.returncode, "is there already" in again.stderr) == (1, True)
    assert (tmp_path / "specs/mine/a.toml").read_text(encoding="utf-8") == "mine"


def test_status_says_what_is_there(featured: Warehouse) -> None:
    url = featured.plain_url
    shown = CliRunner().invoke(app, ["db", "status", "--database-url", url]).output
    assert f"Database {featured.url.database} at 127.0.0.1:" in shown
    assert "of 5 symbols; the newest opens at 2013-03-01 14:30 UTC." in shown
    assert "In production: nothing yet." in shown
    facts = json.loads(CliRunner().invoke(app, ["db", "status", "--json", "--database-url", url]).output)
    assert (facts["running"], facts["symbols"]) == (True, 5)
    assert facts["revision"] == facts["newest_revision"]


def test_status_starts_nothing_and_says_where_tables_are_missing(server_url: str, tmp_path: Path) -> None:
    done = forecastle("db", "status", FORECASTLE_HOME=str(tmp_path / "home"))
    assert done.stdout.startswith("The embedded TimescaleDB is not running; its folder is ")
    assert not (tmp_path / "home" / "server").exists()
    bare = CliRunner().invoke(app, ["db", "status", "--database-url", server_url]).output
    assert "has no tables of Forecastle" in bare
    assert "`forecastle db migrate`" in bare


def test_the_environment_of_dbt_is_printed_for_a_shell() -> None:
    url = "postgresql://me:it's%20secret@db.example:5433/market"
    done = CliRunner().invoke(app, ["db", "url", "--dbt", "--database-url", url])
    exported = dict(word.split("=", 1) for word in shlex.split(done.output) if word != "export")
    quoted = ("FORECASTLE_DBT_HOST", "FORECASTLE_DBT_PASSWORD")
    assert [exported[name] for name in quoted] == ["db.example", "it's secret"]
    as_json = CliRunner().invoke(app, ["db", "url", "--dbt", "--json", "--database-url", url])
    assert json.loads(as_json.output) == exported


def test_an_error_is_json_where_json_was_asked_for() -> None:
    done = forecastle("forecast", "--json", "--as-of", "yesterday")
    assert done.returncode == 1
    assert "yesterday" in json.loads(done.stdout)["message"]
    assert done.stderr == ""


def test_the_commands_are_listed_in_the_order_of_the_data() -> None:
    lines = CliRunner().invoke(app, ["--help"]).output.splitlines()
    listed = [line.split()[1] for line in lines if line.startswith("│ ") and line.split()[1] in ORDER]
    assert listed == list(ORDER)


def test_quiet_shows_no_progress(warehouse: Warehouse) -> None:
    for options, shown in (((), True), (("-q",), False)):
        done = forecastle(
            *options, "features", "build", "--database-url", warehouse.plain_url, FORCE_COLOR="1", COLUMNS="120"
        )
        assert done.returncode == 0, done.stderr
        assert ("Building features" in done.stderr) == shown
