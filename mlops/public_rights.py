"""Which functions PostgreSQL and TimescaleDB let everybody call though they harm.

Whoever migrates a database and whoever runs the embedded server takes them away from PUBLIC.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def open_to_public() -> str:
    """Return the query that finds these functions: one row a function, its signature and whether the login owns it."""
    return files("mlops").joinpath("open_to_public.sql").read_text(encoding="utf-8")
