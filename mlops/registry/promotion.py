"""Change which version makes a model's forecasts, and take such a change back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from mlops.domain import ModelVersion
from mlops.exceptions import RegistryError
from mlops.warehouse import sql

_OURS = {"P0002", "55006", "23514"}  # no such version, in production already, an empty reason


def promote(connection: Connection, name: ModelVersion, reason: str) -> ModelVersion | None:
    """Put `name` into production, and return the version that was there before, None where there was none.

    The forecasts that were made stay as they are. `connection` is in the name of the approver. Raises RegistryError
    where there is no such version, it is in production already, or `reason` is empty.
    """
    with _refusals():
        replaced: int | None = connection.execute(
            sql("registry", "promote"), {"model": name.model, "version": name.version, "reason": reason}
        ).scalar_one()
    return None if replaced is None else ModelVersion(name.model, replaced)


def rollback(connection: Connection, model: str, reason: str) -> ModelVersion:
    """Put the version into production that was there before the present one, and return it.

    Again, it goes one further back. `connection` is in the name of the approver. Raises RegistryError where none was.
    """
    with _refusals():
        version: int = connection.execute(sql("registry", "rollback"), {"model": model, "reason": reason}).scalar_one()
    return ModelVersion(model, version)


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn what the functions refuse into our error, in their words."""
    try:
        yield
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) not in _OURS:
            raise
        said = str(error.orig).splitlines()[0]
        if error.orig is not None and getattr(error.orig, "sqlstate", None) == "23514":
            said = "no reason was given"
        raise RegistryError(f"{said[:1].upper()}{said[1:]}. `forecastle models list` shows what there is.") from error
