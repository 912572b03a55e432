"""What ten times as many symbols cost: the 503 stocks, and the same ten times under other names, side by side.

Each step is a process of its own, `python -m benchmarks.many STEP URL AS_OF`, which prints its seconds and the most
memory that it or a process of its own held; what the server holds is not counted.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

from sqlalchemy import text

from benchmarks.row import Row
from benchmarks.trained import DAILY, sessions
from mlops.drift import measure
from mlops.features import build
from mlops.forecasting import forecast
from mlops.outcomes import resolve
from mlops.sources import FileSource, ingest_bars
from mlops.warehouse import Warehouse

TIMES = 10
"""How often each stock is there in the large database."""

_FORECAST_DAYS = 25
_SPEC = "stocks_d1/gbm"
_NEXT_SESSION = """
    SELECT min(session) FROM market.sessions
    WHERE exchange = 'XNYS' AND opens_at > (SELECT max(ts) FROM market.bars)
"""
_AT_MOST = 12.0
_GIB = 2.0**20
"""KiB in a GiB, in which the system counts memory."""


def run(small: str, large: str) -> list[Row]:
    """Measure in two migrated, empty databases; no rows where the data is absent."""
    if not DAILY.exists():
        return []
    with tempfile.TemporaryDirectory() as folder:
        of_503 = _live(small, 1, Path(folder))
        of_5030 = _live(large, TIMES, Path(folder))
    rows = [
        Row(
            f"{step} of {503 * TIMES:,} symbols", of_5030[step][0], "s", "503 symbols", of_503[step][0],
            f"at most {_AT_MOST:.0f} times", of_5030[step][0] <= _AT_MOST * of_503[step][0],
        )
        for step in ("full build", "one more day", "forecast run", "drift")
    ]  # fmt: skip
    serving = max(of_5030[step][1] for step in ("full build", "one more day", "forecast run", "drift"))
    training = of_5030["training"]
    checks = of_5030["training checks"][0]
    return [
        *rows,
        Row("most memory of these", serving, "GiB", "the goal", 3.0, "at most", serving <= 3),
        Row("training on 5.8 million rows", training[0], "s", "503 symbols", of_503["training"][0], "-", True),
        Row("its memory", training[1], "GiB", "the goal", 8.0, "at most", training[1] <= 8),
        Row("its checks", checks, "s", "the goal", 120.0, "at most", checks <= 120),
    ]


def _live(url: str, times: int, folder: Path) -> dict[str, tuple[float, float]]:
    """Return seconds and GiB of each step: bars come in, are built, trained on and forecast, and a day more comes."""
    with Warehouse(url) as warehouse:
        for nth in range(times):
            ingest_bars(warehouse, FileSource(_renamed(folder, nth)))
        build(warehouse)
        days = sessions(warehouse, _FORECAST_DAYS + 25)
        found = {"full build": _measured("build", url, days[-1])}
        found["training"] = _measured("train", url, days[0])
        found["training checks"] = _measured("check", url, days[0])
        for day in days[25:-1]:
            forecast(warehouse, day)
        found["forecast run"] = _measured("forecast", url, days[-1])
        resolve(warehouse, days[-1])
        found["drift"] = min(_measured("drift", url, days[-1]) for _ in range(3))
        with warehouse.begin() as connection:
            day = connection.execute(text(_NEXT_SESSION)).scalar_one()
        for nth in range(times):
            ingest_bars(warehouse, FileSource(_one_more_day(folder, nth, day)))
        found["one more day"] = _measured("day", url, days[-1])
    return found


def _measured(step: str, url: str, as_of: datetime) -> tuple[float, float]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.many", step, url, as_of.isoformat()],
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, kib = json.loads(done.stdout.splitlines()[-1])
    return seconds, kib / _GIB


def _bars(folder: Path, nth: int) -> Path:
    return folder / f"bars_{nth}.parquet"


def _renamed(folder: Path, nth: int) -> Path:
    import polars as pl

    path = _bars(folder, nth)
    name = pl.col("symbol") if nth == 0 else pl.col("symbol") + f".{nth}"
    pl.read_parquet(DAILY).with_columns(name.alias("symbol")).write_parquet(path)
    return path


def _one_more_day(folder: Path, nth: int, day: date) -> Path:
    """Return a file with the last bars of those that `_renamed` wrote, as bars of `day`."""
    import polars as pl

    path = folder / f"day_{nth}.parquet"
    last = pl.read_parquet(_bars(folder, nth)).drop_nulls().filter(pl.col("date") == pl.col("date").max())
    last.with_columns(pl.lit(day).alias("date")).write_parquet(path)
    return path


def _train(warehouse: Warehouse, as_of: datetime) -> None:
    from jobs.train import train
    from mlops.training import find_spec

    # Without the checks, which the file's gaps would not pass: they are measured by themselves.
    train(warehouse, find_spec(_SPEC), as_of, check=lambda run_id, as_of: None)


def _check(warehouse: Warehouse, as_of: datetime) -> float:
    """Return how long the checks of a training set take, whatever they find."""
    from mlops import checks, datasets, registry
    from mlops.training import find_spec

    spec = find_spec(_SPEC)
    with warehouse.begin() as connection:
        run_id = registry.start_run(connection, spec, as_of)
        datasets.materialise(connection, run_id, spec, as_of)
    began = time.perf_counter()
    checks.training(warehouse, run_id, as_of)
    took = time.perf_counter() - began
    with warehouse.begin() as connection:
        datasets.clear(connection, run_id)
        registry.finish_run(connection, run_id, "failed", error="measured only")
    return took


_STEPS: dict[str, Callable[[Warehouse, datetime], object]] = {
    "build": lambda warehouse, as_of: build(warehouse, full_refresh=True),
    "day": lambda warehouse, as_of: build(warehouse),
    "train": _train,
    "check": _check,
    "forecast": forecast,
    "drift": measure,
}
"""Each takes the warehouse and an as-of; one that returns seconds has taken its own time."""


def main(step: str, url: str, as_of: str) -> None:
    """Do one step and print its seconds and its memory in KiB."""
    began = time.perf_counter()
    with Warehouse(url) as warehouse:
        result = _STEPS[step](warehouse, datetime.fromisoformat(as_of))
    took = result if isinstance(result, float) else time.perf_counter() - began
    used = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(json.dumps([took, used]))


if __name__ == "__main__":
    main(*sys.argv[1:])
