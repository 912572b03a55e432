"""Models: each is declared by the first specification that is trained for it."""

from __future__ import annotations

import json
from datetime import datetime

from sqlalchemy import Connection

from mlops.exceptions import RegistryError, SpecError
from mlops.spec import Spec
from mlops.warehouse import sql
from mlops.warehouse.timeframes import read_timeframes


def require_timeframe(connection: Connection, spec: Spec) -> None:
    """Return if market.timeframes has the timeframe of `spec` and its horizons. Raises SpecError where it has not."""
    there = read_timeframes(connection)
    if spec.timeframe not in there:
        raise SpecError(
            f"{spec.name}: timeframe: {spec.timeframe!r} was given; it should be one of {', '.join(there)}.",
            timeframe=spec.timeframe,
        )
    allowed = there[spec.timeframe].horizons
    if not set(spec.horizons) <= set(allowed):
        raise SpecError(
            f"{spec.name}: horizons: {list(spec.horizons)} was given; for {spec.timeframe} they should be an ascending "
            f"choice of {list(allowed)}.",
            timeframe=spec.timeframe,
        )


def declare(connection: Connection, spec: Spec, as_of: datetime) -> None:
    """Declare the model of `spec`, where it is not declared yet, and hold the spec to what is declared.

    Timeframe, label set, horizons and universe are those of the model, the same in each of its candidates. A model that
    has no version yet is declared anew. As of `as_of` (UTC) no other model may answer for one of its symbols.

    Raises SpecError as `require_timeframe` does, and RegistryError where the model is declared otherwise, or another
    one answers already.
    """
    require_timeframe(connection, spec)
    universe = spec.universe.model_dump(exclude_none=True)
    asked = {
        "model": spec.model,
        "timeframe": spec.timeframe,
        "horizons": list(spec.horizons),
        "universe": json.dumps(universe),
        "target": spec.label_set,
    }
    declared = connection.execute(sql("registry", "model_declare"), asked).one()
    for what, theirs, ours in (
        ("timeframe", declared.timeframe, spec.timeframe),
        ("label set", declared.target, spec.label_set),
        ("horizons", list(declared.horizons), list(spec.horizons)),
        ("universe", declared.universe, universe),
    ):
        if theirs != ours:
            raise RegistryError(
                f"{spec.model} is asked with {what} {_said(theirs)}, and {spec.name} says {_said(ours)}. Let all "
                "candidates of a model say the same, or give another question another name.",
                model=spec.model,
            )
    other = connection.execute(sql("registry", "model_overlap"), asked | {"as_of": as_of}).one_or_none()
    if other is not None:
        raise RegistryError(
            f"{other.model} forecasts {other.ticker} in {spec.timeframe} already, and {spec.model} would, too. Make it "
            f'a candidate (`model = "{other.model}"`), or give it other symbols under [universe].',
            model=other.model,
        )


def _said(value: object) -> str:
    return json.dumps(value) if value else "of all symbols"
