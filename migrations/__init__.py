"""Alembic: what Python writes. Tables in `versions`, functions apart from state in `functions`."""
