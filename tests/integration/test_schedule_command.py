"""`forecastle schedule` as a person types it: what is listed, and a run by hand."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner, Result

from jobs import daily as daily_job
from mlops.cli.commands import app
from mlops.exceptions import SpecError
from mlops.warehouse import Warehouse
from mlops.warehouse.bookkeeping import job_run
from mlops.warehouse.schedules import mark_missed

DUE = datetime(2017, 7, 3, 22, 30, tzinfo=UTC)


def schedule(warehouse: Warehouse, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["schedule", *arguments, "--database-url", warehouse.plain_url])


def test_the_list_says_how_the_newest_run_went_and_what_was_missed(warehouse: Warehouse) -> None:
    lines = schedule(warehouse, "list").output.splitlines()
    assert [line.split()[0] for line in lines] == ["daily", "retrain"]
    assert all(line.endswith("UTC") for line in lines)
    now = datetime.now(UTC)
    with warehouse.begin() as connection:
        mark_missed(connection, "daily", {now - timedelta(days=n): "missed" for n in (1, 2, 3, 40)})
    with job_run(warehouse, "daily", now - timedelta(days=1)):
        pass
    with pytest.raises(ZeroDivisionError), job_run(warehouse, "daily", DUE, scheduled=True):
        _ = 1 / 0
    lines = schedule(warehouse, "list").output.splitlines()
    assert lines[0].endswith("failed as of 2017-07-03 22:30 UTC; 2 missed in the last 30 days")
    daily, retrain = json.loads(schedule(warehouse, "list", "--json").output)
    assert (daily["job"], daily["crontab"]) == ("daily", "30 22 * * mon-fri")
    assert (daily["state"], daily["as_of"], daily["missed"]) == ("failed", "2017-07-03T22:30:00+00:00", 2)
    assert set(retrain) == {"job", "crontab", "next"}


def test_the_list_needs_no_database_that_answers() -> None:
    ended = CliRunner().invoke(app, ["schedule", "list", "--database-url", "postgresql://nobody@127.0.0.1:1/d"])
    assert ended.exit_code == 0
    assert [line.split()[0] for line in ended.stdout.splitlines()] == ["daily", "retrain"]
    assert "No database answers" in ended.stderr


def test_the_list_makes_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORECASTLE_HOME", str(tmp_path))
    monkeypatch.delenv("FORECASTLE_DATABASE_URL", raising=False)
    assert CliRunner().invoke(app, ["schedule", "list"]).exit_code == 0
    assert list(tmp_path.iterdir()) == []


def test_a_run_at_once_says_what_it_did(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    def two_steps(warehouse: Warehouse, as_of: datetime, *_: object, **__: object) -> None:
        for step in ("features", "check"):
            with job_run(warehouse, step, as_of):
                pass

    monkeypatch.setattr(daily_job, "run", two_steps)
    ended = schedule(warehouse, "run", "--once", "daily", "--as-of", "2017-07-03T22:30:00+00:00")
    said = r"Daily as of 2017-07-03 22:30 UTC succeeded in \d+\.\d s: features \d+\.\d s, check \d+\.\d s\.\n"
    assert re.fullmatch(said, ended.stdout.splitlines(keepends=True)[-1])


def test_what_goes_wrong_before_the_first_step_stands_in_the_row(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORECASTLE_SPEC", "specs/nowhere.toml")
    for job in ("daily", "retrain"):
        ended = schedule(warehouse, "run", "--once", job, "--as-of", "2017-07-03T22:30:00+00:00")
        assert isinstance(ended.exception, SpecError)
        with warehouse.begin() as connection:
            rows = connection.execute(text("SELECT * FROM monitoring.job_runs WHERE job = :job"), {"job": job}).all()
        assert [(row.as_of, row.state, row.scheduled) for row in rows] == [(DUE, "failed", False)]
        assert rows[0].error.startswith("SpecError: ")


@pytest.mark.parametrize(
    "arguments", [("--as-of", "2017-07-03"), ("--once", "daily", "--at-once", "daily"), ("--once", "weekly")]
)
def test_wrong_usage_ends_with_status_2(warehouse: Warehouse, arguments: tuple[str, ...]) -> None:
    assert schedule(warehouse, "run", *arguments).exit_code == 2
