"""What came of the forecasts."""

from mlops.outcomes.outcomes import OutcomesSummary, resolve

__all__ = ["OutcomesSummary", "resolve"]
