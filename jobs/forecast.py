"""The forecast job: the newest feature rows through what is in production and through its challengers."""

from __future__ import annotations

from datetime import datetime

from mlops.forecasting import ForecastSummary, forecast, serving_timeframes
from mlops.warehouse import Warehouse
from mlops.warehouse.bookkeeping import job_run


def timeframes(warehouse: Warehouse) -> list[str]:
    """Return the timeframes that will be forecast; none where no version forecasts yet."""
    with warehouse.begin() as connection:
        return serving_timeframes(connection)


def run(warehouse: Warehouse, as_of: datetime, model: str | None = None) -> ForecastSummary:
    """Forecast from what was known at `as_of` (UTC), with all models or with `model`."""
    with job_run(warehouse, "forecast", as_of, model or ""):
        return forecast(warehouse, as_of, model=model)
