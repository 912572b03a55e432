"""The suites that decide whether the data may be used, numbered in the order of the data."""
