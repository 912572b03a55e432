"""`forecastle forecast`, `outcomes` and `drift` as a person types them, on real prices."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from small_world import register
from sqlalchemy import text
from technical import HORIZONS, TECHNICAL_FEATURES

from mlops.cli.forecast import _show_tables
from mlops.domain import ModelVersion
from mlops.forecasting import Forecast
from mlops.warehouse import Warehouse

FORECASTLE = Path(sys.executable).with_name("forecastle")
NEWEST = "SELECT DISTINCT known_at FROM market.bars ORDER BY known_at DESC LIMIT :n"
METRICS = {"test": {str(h): {"mae": {"model": 0.011, "naive": 0.01, "skill": -0.1 * h / 20}} for h in HORIZONS}}


def forecastle(warehouse: Warehouse, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "FORECASTLE_DATABASE_URL": warehouse.plain_url, "COLUMNS": "80"}
    return subprocess.run(
        [str(FORECASTLE), *arguments], env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def json_of(warehouse: Warehouse, *arguments: str) -> Any:
    done = forecastle(warehouse, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def newest_days(warehouse: Warehouse, n: int) -> list[datetime]:
    with warehouse.begin() as connection:
        return sorted(connection.execute(text(NEWEST), {"n": n}).scalars())


def test_the_three_commands_say_what_is_stored(featured: Warehouse) -> None:
    days = newest_days(featured, 10)
    names = (*TECHNICAL_FEATURES, *(f"p50_h{h}" for h in HORIZONS))
    register(
        featured, days[0], metrics=METRICS, references={name: ([-1.0, 0.0, 1.0], [250] * 4) for name in names}
    )  # fmt: skip

    first = json_of(featured, "forecast", "--as-of", days[1].isoformat())
    assert (first["versions"][0]["made"], first["versions"][0]["present"]) == (20, 0)
    assert first["versions"][0]["skill"] == {str(h): -0.1 * h / 20 for h in HORIZONS}
    again = json_of(featured, "forecast", "--as-of", days[1].isoformat())
    assert (again["versions"][0]["made"], again["versions"][0]["present"]) == (0, 20)
    assert again["forecasts"] == first["forecasts"]
    assert [(each["ticker"], each["horizon"]) for each in first["forecasts"]] == [
        (ticker, h) for ticker in ("AAPL", "FB", "GOOG", "IBM", "MSFT") for h in HORIZONS
    ]

    shown = forecastle(featured, "forecast", "--as-of", days[1].isoformat()).stdout
    assert "AAPL" in shown
    assert "tiny v1 (linear), in production: 5 symbols at 4 horizons, 0 forecasts made, 20 there already" in " ".join(
        shown.split()
    )
    assert "Skill of MAE over naive on its test part: h1 -0.5%, h5 -2.5%, h10 -5.0%, h20 -10.0%" in shown
    assert all("…" not in line and len(line) <= 80 for line in shown.splitlines() if "AAPL" in line)

    at = ("forecast", "--as-of", days[1].isoformat())
    few = json_of(featured, *at, "--symbol", "IBM", "--symbol", "FB", "--horizon", "5", "--sort", "p50")["forecasts"]
    assert sorted((each["ticker"], each["horizon"]) for each in few) == [("FB", 5), ("IBM", 5)]
    assert few[0]["p50"] > few[1]["p50"]
    surest = json_of(featured, *at, "--sort", "confidence")["forecasts"]
    assert [each["probability"] for each in surest] == sorted((e["probability"] for e in surest), reverse=True)
    unknown = forecastle(featured, *at, "--symbol", "TULIP")
    assert unknown.returncode == 2
    assert "there is no forecast of 'TULIP'" in unknown.stderr
    assert first["versions"][0]["refused"] == {}

    nope = forecastle(featured, "models", "list", "nope")
    assert (nope.returncode, nope.stderr) == (1, "error: There is no model 'nope'; there is tiny.\n")

    came = json_of(featured, "outcomes", "--as-of", days[6].isoformat())
    assert (came["resolved"], came["waiting"], came["overdue"]) == (10, 10, 0)
    assert [(row["horizon"], row["n"]) for row in came["accuracy_90_days"]] == [(1, 5), (5, 5)]
    assert (
        "0 forecasts resolved, 0 corrected; 10 still open."
        in forecastle(featured, "outcomes", "--as-of", days[6].isoformat()).stdout
    )

    table = forecastle(featured, "outcomes", "--as-of", days[9].isoformat()).stdout
    for row in json_of(featured, "outcomes", "--as-of", days[9].isoformat())["accuracy_90_days"]:
        assert any(
            line.split()[2:4] == [str(row["horizon"]), row["day"]] for line in table.splitlines() if "tiny" in line
        )
    assert all("…" not in line and len(line) <= 80 for line in table.splitlines())

    moved = json_of(featured, "drift", "--as-of", days[6].isoformat())
    assert len(moved["versions"][0]["features"]) == 24
    assert {each["state"] for each in moved["versions"][0]["symbols"]} == {"insufficient"}
    printed = forecastle(featured, "drift", "--as-of", days[6].isoformat()).stdout
    assert "Population stability index, the highest first" in printed
    assert "symbols 5 insufficient" in printed


def test_each_model_has_a_table_of_its_own_in_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    moment = datetime(2017, 6, 30, 20, tzinfo=UTC)
    daily = Forecast(
        ticker="GOOGLE", timeframe="d1", is_dated=True, horizon=20, as_of=moment, target_ts=moment, p10=-0.1234,
        p50=0.0123, p90=0.1234, direction="BULLISH", probability=0.99, version=ModelVersion("stocks_d1", 12),
    )  # fmt: skip
    hourly = replace(daily, timeframe="h1", is_dated=False, version=ModelVersion("fx_h1", 3))
    _show_tables([daily, hourly, daily])
    printed = capsys.readouterr().out
    assert [line.strip() for line in printed.splitlines() if " v" in line] == [
        "stocks_d1 v12: return until the horizon ends, in percent",
        "fx_h1 v3: return until the horizon ends, in percent",
    ]
    assert printed.count("GOOGLE") == 3
    assert printed.count("06-30 20:00") == 2
    assert all("…" not in line and len(line.rstrip()) <= 80 for line in printed.splitlines())


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("forecast",), "Train one: `forecastle train stocks_d1/gbm`"),
        (("forecast", "--model", "mine"), "No version of mine is in production"),
        (("drift",), "Train one: `forecastle train stocks_d1/gbm`"),
        (("outcomes",), "Build them: `forecastle features build`"),
        (("forecast", "--as-of", "yesterday"), "is not a date or time"),
    ],
)
def test_what_is_missing_is_said_in_a_line(warehouse: Warehouse, command: tuple[str, ...], words: str) -> None:
    done = forecastle(warehouse, *command)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 2


def test_forecasting_process_is_light_up_to_its_end(featured: Warehouse) -> None:
    """The command itself, not only the stage: nothing heavy comes in by the side."""
    day = newest_days(featured, 1)[0]
    register(featured, day, metrics=METRICS)
    script = (
        "import sys\nfrom mlops.cli.commands import app\n"
        f"app(['forecast', '--as-of', {day.isoformat()!r}, '--json'], standalone_mode=False)\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True,
        env={**os.environ, "FORECASTLE_DATABASE_URL": featured.plain_url},
    )  # fmt: skip
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "onnxruntime" in loaded
    assert loaded.isdisjoint(
        {"pandas", "sklearn", "dbt", "great_expectations", "pyarrow", "exchange_calendars", "onnx"}
    )


def test_a_ticker_that_looks_like_markup_or_a_command_is_shown_as_it_stands(featured: Warehouse) -> None:
    """The database may hold tickers from before ingest refused such."""
    day = newest_days(featured, 1)[0]
    names = (*TECHNICAL_FEATURES, *(f"p50_h{h}" for h in HORIZONS))
    register(
        featured, day, metrics=METRICS, references={name: ([-1.0, 0.0, 1.0], [250] * 4) for name in names}
    )  # fmt: skip
    with featured.begin(role=None) as connection:
        connection.execute(text("UPDATE market.symbols SET ticker = '[/]' || chr(27) WHERE ticker = 'AAPL'"))
    for command in ("forecast", "drift"):
        done = forecastle(featured, command, "--as-of", day.isoformat())
        assert (done.returncode, done.stderr) == (0, "")
        assert "[/]\\x1b" in done.stdout
        assert "\x1b" not in done.stdout
