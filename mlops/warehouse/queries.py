"""Named queries: each is a file `mlops/<stage>/<name>.sql` whose first lines state its purpose and grain."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from sqlalchemy import TextClause, text


@cache
def sql(stage: str, name: str) -> TextClause:
    """Return the query `name` of `stage`, with its `:parameters` to be bound at execution.

    Raises FileNotFoundError where there is no such file: a mistake in our code, not a user's.
    """
    return text(files(f"mlops.{stage}").joinpath(f"{name}.sql").read_text(encoding="utf-8"))
