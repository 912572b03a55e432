"""How the jobs hang together: what stops what. The steps themselves are tested with a database."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jobs import daily, train
from jobs.schedule import scheduled_jobs
from mlops.exceptions import DatasetError, GateClosedError, JobError, NoProductionModelError, TrainingError
from mlops.settings import Settings
from mlops.warehouse import Warehouse

AS_OF = datetime(2017, 6, 30, 22, 30, tzinfo=UTC)
NOWHERE = Warehouse("postgresql://u@h/d")


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the daily job's steps, in the order in which they are run; checks with their timeframe."""
    done: list[str] = []
    for name in ("features", "forecast", "outcomes", "drift"):
        monkeypatch.setattr(f"jobs.daily.{name}.run", lambda *_, name=name: done.append(name))
    monkeypatch.setattr("jobs.daily.forecast.timeframes", lambda _: ["d1"])
    monkeypatch.setattr("jobs.daily.check.run", lambda _, as_of, timeframe: done.append(f"check {timeframe}"))
    return done


def close_gate(monkeypatch: pytest.MonkeyPatch, steps: list[str], *closed: str) -> None:
    def check(_: Warehouse, as_of: datetime, timeframe: str) -> None:
        steps.append(f"check {timeframe}")
        if timeframe in closed:
            raise GateClosedError(f"closed for {timeframe}")

    monkeypatch.setattr("jobs.daily.check.run", check)


def test_all_timeframes_are_checked_once(steps: list[str]) -> None:
    daily.run(NOWHERE, AS_OF, ["h1", "d1"])
    assert steps == ["features", "check d1", "check h1", "forecast", "outcomes", "drift"]


def test_a_closed_gate_stops_its_own_timeframe(monkeypatch: pytest.MonkeyPatch, steps: list[str]) -> None:
    close_gate(monkeypatch, steps, "h1")
    with pytest.raises(GateClosedError, match="closed for h1"):
        daily.run(NOWHERE, AS_OF, ["h1", "d1"])
    assert steps[-3:] == ["forecast", "outcomes", "drift"]


@pytest.mark.parametrize("error", [None, GateClosedError("at the forecast"), NoProductionModelError()])
def test_gates_that_are_all_closed_end_the_job(
    monkeypatch: pytest.MonkeyPatch, steps: list[str], error: Exception | None
) -> None:
    """The forecast is asked all the same: it keeps for each symbol why there is none."""
    close_gate(monkeypatch, steps, "d1")

    def forecast(*_: object) -> None:
        steps.append("forecast")
        if error is not None:
            raise error

    monkeypatch.setattr("jobs.daily.forecast.run", forecast)
    with pytest.raises(GateClosedError, match="closed for d1"):
        daily.run(NOWHERE, AS_OF, ["d1"])
    assert steps == ["features", "check d1", "forecast"]


def retrain(monkeypatch: pytest.MonkeyPatch, failing: dict[str, Exception], done: tuple[str, ...] = ()) -> list[str]:
    """Run the retrain of three specifications, and return which were trained."""
    trained: list[str] = []

    def run(_: Warehouse, as_of: datetime, spec: Any) -> None:
        trained.append(spec.candidate)
        if spec.candidate in failing:
            raise failing[spec.candidate]

    monkeypatch.setattr(train, "run", run)
    monkeypatch.setattr("jobs.schedule.has_succeeded", lambda _w, _j, _a, subject: subject in done)
    settings = Settings(spec="stocks_d1/gbm, stocks_d1/forest,stocks_d1/band")
    job = next(job for job in scheduled_jobs(settings) if job.name == "retrain")
    try:
        job.run(NOWHERE, AS_OF)
    finally:
        assert trained == [name for name in ("gbm", "forest", "band") if f"stocks_d1/{name}" not in done]
    return trained


def test_each_specification_is_trained_and_one_that_fails_keeps_back_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    assert retrain(monkeypatch, {}) == ["gbm", "forest", "band"]
    with pytest.raises(TrainingError, match="too few"):
        retrain(monkeypatch, {"gbm": TrainingError("too few")})
    with pytest.raises(JobError, match=r"2 specifications could not be trained\.\ntoo few\nno rows"):
        retrain(monkeypatch, {"gbm": TrainingError("too few"), "band": DatasetError("no rows\nIngest some.")})


def test_what_is_trained_already_is_not_trained_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert retrain(monkeypatch, {}, done=("stocks_d1/gbm",)) == ["forest", "band"]


def test_a_specification_may_be_a_file(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=f"There is no specification at {tmp_path}/none.toml"):
        scheduled_jobs(Settings(spec=f"stocks_d1/gbm,{tmp_path}/none.toml"))[1].run(NOWHERE, AS_OF)
