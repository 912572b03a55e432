"""Which timeframes there are: market.timeframes, which dbt and SQL read, too."""

from __future__ import annotations

from sqlalchemy import Connection

from mlops.domain import Timeframe
from mlops.exceptions import TimeframeError
from mlops.warehouse.queries import sql


def read_timeframes(connection: Connection) -> dict[str, Timeframe]:
    """Return the timeframes by name, the shortest first."""
    return {
        row.timeframe: Timeframe(
            row.timeframe, row.bar_length, row.session_rule, tuple(row.horizons), tuple(row.thresholds)
        )
        for row in connection.execute(sql("warehouse", "timeframes"))
    }


def read_timeframe(connection: Connection, name: str) -> Timeframe:
    """Return the timeframe `name`. Raises TimeframeError, naming those that there are, where there is none."""
    found = read_timeframes(connection)
    if name not in found:
        raise TimeframeError(f"There is no timeframe {name!r}. Use one of {', '.join(found)}.", timeframe=name)
    return found[name]
