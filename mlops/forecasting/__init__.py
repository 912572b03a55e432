"""Forecasts from the production model.

`forecast` makes them, `newest` reads them back. Neither imports pandas, scikit-learn, dbt or Great Expectations: the
process is at its first query within three seconds.
"""

from mlops.forecasting.forecasts import Forecast, ForecastReport, VersionForecasts, forecast, newest
from mlops.forecasting.production import production_timeframes

__all__ = ["Forecast", "ForecastReport", "VersionForecasts", "forecast", "newest", "production_timeframes"]
