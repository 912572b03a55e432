"""Forecasts from what is in production, and from its challengers in the shadow.

`forecast` makes them, `newest` reads them back. Neither imports pandas, scikit-learn, dbt or Great Expectations: the
process is at its first query within three seconds.
"""

from mlops.forecasting.forecasts import Forecast, ForecastSummary, VersionForecasts, forecast, newest
from mlops.forecasting.serving import serving_timeframes

__all__ = ["Forecast", "ForecastSummary", "VersionForecasts", "forecast", "newest", "serving_timeframes"]
