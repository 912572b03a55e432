"""Compare versions of one model, all by the same outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from mlops.exceptions import RegistryError
from mlops.warehouse import sql


@dataclass(frozen=True, slots=True)
class Compared:
    """How one version does at one horizon.

    Attributes:
        aliases: the aliases that point at the version now.
        test_mae_skill: 1 - MAE / naive MAE on its test subset; None where that is not known.
        test_accuracy_skill: of the direction, likewise.
        n_live: forecasts that all the versions made, of the same symbol and as-of, and that have come true.
        live_mae_skill: 1 - MAE / naive MAE over these; None where there is none.
        live_accuracy: share of right directions among them, 0 to 1.
        live_coverage: share of them whose return lay between p10 and p90, 0 to 1; 0.8 is meant.
    """

    horizon: int
    version: int
    candidate: str
    aliases: tuple[str, ...]
    test_mae_skill: float | None
    test_accuracy_skill: float | None
    n_live: int
    live_mae_skill: float | None
    live_accuracy: float | None
    live_coverage: float | None


def compare(connection: Connection, model: str, versions: Sequence[int] | None = None) -> list[Compared]:
    """Return how `versions` of `model` do, by horizon, production first; without any, all that forecast.

    Raises RegistryError where there is no such version, or none forecasts.
    """
    chosen = None if versions is None else sorted(set(versions))
    rows = connection.execute(sql("registry", "compare"), {"model": model, "versions": chosen}).all()
    missing = sorted(set(chosen or ()) - {row.version for row in rows})
    if missing or not rows:
        what = ", ".join(f"{model} v{version}" for version in missing) or f"version of {model} that forecasts"
        raise RegistryError(f"There is no {what}. `forecastle models list` shows what there is.", model=model)
    return [Compared(**{**row._mapping, "aliases": tuple(row.aliases)}) for row in rows]
