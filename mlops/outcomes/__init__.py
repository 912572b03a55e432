"""What came of the forecasts."""

from mlops.outcomes.outcomes import OutcomesReport, resolve

__all__ = ["OutcomesReport", "resolve"]
