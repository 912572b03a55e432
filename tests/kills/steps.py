"""The steps that are run: commands in their order, on real prices, with the files that each finds in its inbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pandas as pd
from bars import sample_bars

SPEC = """
model = "killed"
candidate = "gbm"
family = "hist_gradient_boosting"
timeframe = "d1"
feature_set = "technical"
horizons = [1, 5]
seed = 7

[hyperparameters]
max_iter = 5
max_leaf_nodes = 4
min_samples_leaf = 50

[promotion]
first = "production"

[drift]
minimum_predictions = 5
"""

FIRST = "2010-01-01"
COLUMNS = ["symbol", "date", "open", "high", "low", "close", "volume", "adj_close"]


@dataclass(frozen=True)
class Step:
    """One command, and the files that lie in the inbox when it is first run. `kind` is its stage."""

    kind: str
    arguments: tuple[str, ...]
    files: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return " ".join(self.arguments)


def steps_of(folder: Path, days: int, *, short: bool = False) -> list[Step]:
    """Return the steps over the last `days` sessions of the sample. Files that are not for the inbox go into `folder`.

    With `short`, the check, which the daily job runs as well, and all steps after the daily jobs are left out.
    """
    bars = sample_bars().rename(columns={"ticker": "symbol"})
    bars = bars[bars["ts"] >= FIRST].assign(date=lambda frame: frame["ts"].dt.date)[COLUMNS]
    sessions: list[date] = sorted(bars["date"].unique())
    live = sessions[-days:]
    history, spec = folder / "history.csv", folder / "spec.toml"
    bars[bars["date"] < live[0]].to_csv(history, index=False)
    spec.write_text(SPEC)
    trained = str(sessions[-days - 1])
    all_steps = [
        Step("migrate", ("db", "migrate")),
        Step("ingest", ("ingest", "bars", str(history))),
        Step("features", ("features", "build")),
        Step("check", ("check", "--as-of", trained)),
        Step("train", ("train", str(spec), "--as-of", trained)),
        Step("forecast", ("forecast", "--as-of", trained)),
        *(
            Step("daily", ("schedule", "run", "--once", "daily", "--as-of", str(day)), _files(bars, sessions, day))
            for day in live
        ),
        Step("outcomes", ("outcomes", "--as-of", str(live[-1]))),
        Step("drift", ("drift", "--as-of", str(live[-1]))),
        Step("train", ("train", str(spec), "--as-of", str(live[-1]))),
        Step("features", ("features", "build", "--full-refresh")),
    ]
    until = next(index for index, step in enumerate(all_steps) if step.kind == "outcomes")
    return [step for step in all_steps[:until] if step.kind != "check"] if short else all_steps


def _files(bars: pd.DataFrame, sessions: list[date], day: date) -> dict[str, str]:
    """The day's bars; one of the day before, corrected; one that cannot be; and an announcement of earnings."""
    today = bars[bars["date"] == day]
    before = bars[bars["date"] == sessions[sessions.index(day) - 1]].head(1)
    corrected = before.assign(close=before["close"].round(2) + 0.01, high=before["high"] + 1)
    impossible = today.head(1).assign(symbol="IBM", low=-1)
    ticker = sorted(bars["symbol"].unique())[sessions.index(day) % 5]
    return {
        f"bars_d1_{day}.csv": today.to_csv(index=False),
        f"bars_d1_{day}_corrected.csv": pd.concat([corrected, impossible]).to_csv(index=False),
        f"earnings_{day}.csv": f"symbol,date,qtr,eps_est,eps,release_time\n{ticker},{day},Q1,1.5,1.6,post\n",
    }
