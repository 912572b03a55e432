"""A private TimescaleDB for those who have none."""
