"""What came of the forecasts."""
