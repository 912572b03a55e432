"""Forecasts from the production model."""
