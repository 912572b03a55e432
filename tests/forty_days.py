"""The sample's market after forty days of forecasts by small models: what the tests of the views read."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import pytest
from server_for_tests import open_folder
from small_world import register
from sqlalchemy import text
from technical import HORIZONS, TECHNICAL_FEATURES

from mlops.domain import Role
from mlops.drift import measure
from mlops.exceptions import GateClosedError
from mlops.forecasting import forecast
from mlops.outcomes import resolve
from mlops.sources import FileSource, ingest_earnings
from mlops.spec import DriftSpec
from mlops.warehouse import Warehouse

FORECAST = (
    "symbol_id ticker timeframe horizon as_of target_ts p10 p50 p90 direction probability_bullish "
    "probability_neutral probability_bearish model version made_at"
)
"""The columns that views of forecasts begin with."""

NEWEST_BARS = "SELECT DISTINCT known_at FROM market.bars ORDER BY known_at DESC LIMIT 40"
CLOSE_GATE = (
    "INSERT INTO monitoring.check_results (run_id, suite, expectation, relation, timeframe, as_of, success, "
    "rows_at_fault, why) "
    "VALUES (gen_random_uuid(), 'freshness', 'it_is_new', 'market.bars', 'd1', :as_of, false, 1, 'x')"
)
REFERENCE = ([-1.0, 0.0, 1.0], [250, 250, 250, 250])


class Market:
    """The sample's market after forty days of forecasts, and how to read it."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse

    def read(self, query: str, role: Role | None = Role.ANALYST, **parameters: object) -> list[Any]:
        with self.warehouse.begin(role) as connection:
            return list(connection.execute(text(query), parameters).all())

    def write(self, statement: str, **parameters: object) -> None:
        with self.warehouse.begin(role=None) as connection:
            connection.execute(text(statement), parameters)


def live_forty_days(market: Market) -> None:
    """Let small models, one of them with two versions, forecast in a warehouse with prices, features and labels."""
    warehouse = market.warehouse
    days: list[datetime] = sorted(row.known_at for row in market.read(NEWEST_BARS, role=None))
    names = (*TECHNICAL_FEATURES, *(f"p50_h{h}" for h in HORIZONS))
    references = {name: REFERENCE for name in names}
    register(warehouse, days[0], model="tiny", references=references)
    for day in days[1:30]:
        forecast(warehouse, day)
    resolve(warehouse, days[29])
    measure(warehouse, days[29])
    # a second version takes over on a day that the first was measured on, and a second model joins in
    register(
        warehouse, days[0], model="tiny", version=2, references=references,
        accuracy=dict.fromkeys(HORIZONS, 0.9), drift=DriftSpec(minimum_predictions=5),
    )  # fmt: skip
    forecast(warehouse, days[29])
    measure(warehouse, days[29])
    register(warehouse, days[0], model="other", version=3, references=references, horizons=(1, 5))
    register(warehouse, days[0], model="other", version=4, references=references, alias="staging")
    # one in the shadow; and an evening on which the gate is closed at first
    register(warehouse, days[0], model="tiny", version=5, candidate="shadow", alias="challenger")
    for day in days[29:]:
        forecast(warehouse, day)
    market.write(CLOSE_GATE, as_of=days[39])
    with pytest.raises(GateClosedError, match="The gate is closed for d1"):
        forecast(warehouse, days[39])
    market.write("DELETE FROM monitoring.check_results WHERE suite = 'freshness'")
    resolve(warehouse, days[39])
    measure(warehouse, days[39])
    with warehouse.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO monitoring.check_results (run_id, suite, expectation, relation, timeframe, as_of, "
                "success, rows_at_fault, why, query, checked_at) VALUES (CAST(:run AS uuid), :suite, :expectation, "
                "'market.bars', :timeframe, CAST(:as_of AS timestamptz), :success, 3, 'Training reads it.', "
                "'SELECT 1', CAST(:at AS timestamptz))"
            ),
            [
                {
                    "run": str(uuid.UUID(int=run)),
                    "suite": suite,
                    "expectation": expectation,
                    "timeframe": timeframe,
                    "success": success,
                    "at": at,
                    "as_of": as_of,
                }
                for run, suite, expectation, timeframe, success, at, as_of in (
                    (1, "10_market", "no duplicates", "d1", False, "2024-01-01Z", "2024-01-01Z"),
                    (2, "10_market", "no duplicates", "d1", True, "2024-01-02Z", "2024-01-02Z"),
                    (2, "10_market", "complete", "d1", False, "2024-01-02Z", "2024-01-02Z"),
                    (3, "20_features", "no NULL", "h1", False, "2023-12-31Z", "2023-12-31Z"),
                    (4, "20_features", "no NULL", "d1", True, "2024-01-02Z", "2024-01-02Z"),
                    # Made later, but of an earlier day; and of a day that has not come.
                    (5, "20_features", "no NULL", "d1", False, "2024-01-03Z", "2024-01-01Z"),
                    (6, "20_features", "no NULL", "d1", False, "2024-01-03Z", "2124-01-01Z"),
                    # The checks of a training set: what they say of the other suites is the training run's own.
                    (7, "10_market", "years ago", "d1", False, "2024-01-04Z", "2024-01-04Z"),
                    (7, "training_set", "no leak", "d1", False, "2024-01-04Z", "2024-01-04Z"),
                )
            ],
        )
        connection.execute(
            text(
                "INSERT INTO ml.runs (run_id, model, as_of, status, spec_sha256, finished_at, error) "
                "SELECT CAST(:run AS uuid), 'tiny', now(), 'blocked', min(sha256), now(), 'the gate is closed' "
                "FROM ml.specs WHERE model = 'tiny'"
            ),
            {"run": str(uuid.UUID(int=7))},
        )
        connection.execute(
            text(
                "INSERT INTO monitoring.job_runs (job, as_of, attempt, state, started_at, finished_at, error) VALUES "
                "('ingest', '2024-01-01Z', 1, 'failed', '2024-01-01Z', '2024-01-01Z', 'throttled'), "
                "('ingest', '2024-01-01Z', 2, 'succeeded', '2024-01-01 01:00Z', '2024-01-01 01:00Z', NULL), "
                "('daily', '2024-01-01Z', 1, 'succeeded', '2024-01-01Z', '2024-01-01Z', NULL), "
                "('daily', '2024-01-02Z', 1, 'failed', '2024-01-02Z', '2024-01-02Z', 'disk full')"
            )
        )
        connection.execute(
            text(
                "INSERT INTO monitoring.schedules (job, since, crontab) "
                "VALUES ('daily', '2024-01-01Z', '30 22 * * 1-5')"
            )
        )
    market.write(
        "INSERT INTO market.confirmed_moves (symbol_id, timeframe, ts, reason) "
        "SELECT symbol_id, timeframe, ts, 'profits halved' FROM market.bars LIMIT 1"
    )
    _take_in_earnings_with_faults(warehouse)


def _take_in_earnings_with_faults(warehouse: Warehouse) -> None:
    with open_folder("earnings") as folder:
        file = folder / "earnings.csv"
        file.write_text(
            "symbol,date,qtr,eps_est,eps,release_time\n"
            "AAPL,2012-10-25,2012Q4,8.75,8.67,post\n"
            "IBM,2012-10-16,2012Q3,3.61,3.62,post\n"
            "IBM,sometime,2012Q2,3.43,3.51,post\n",
            encoding="utf-8",
        )
        ingest_earnings(warehouse, FileSource(file))
