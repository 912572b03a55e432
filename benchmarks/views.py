"""How fast each view opens for an analyst, on two million outcomes: what psql or a BI tool asks for first.

Opening is the first thousand rows, and, of the views that grow with forecasts, the newest hundred.
"""

from __future__ import annotations

from sqlalchemy import text

from benchmarks.row import Row, seconds
from benchmarks.trained import DAILY, ensure_trained, sessions
from mlops.domain import Role
from mlops.outcomes import resolve
from mlops.warehouse import Warehouse

_DAYS = 1030
"""As many days of 503 stocks at four horizons are two million forecasts of one version."""

_NEWEST = {
    "model_predictions": "as_of",
    "ml_forecasts": "as_of",
    "forecast_consensus": "as_of",
    "forecast_accuracy": "day",
}
_ENOUGH = 0.5

# One band a horizon, so that real returns fall on all sides of it, and a probability that differs from row to row.
_FORECASTS = """
    INSERT INTO ml.predictions (
        model, version, symbol_id, timeframe, horizon, as_of, ts, target_ts, p10, p50, p90, direction,
        probability_bullish, probability_neutral, probability_bearish, made_at
    )
    SELECT
        v.model, v.version, b.symbol_id, b.timeframe, h.horizon, b.known_at, b.ts,
        b.known_at + h.horizon * INTERVAL '1 day', -0.02 * sqrt(h.horizon), 0, 0.02 * sqrt(h.horizon),
        CASE WHEN p.share > 0.5 THEN 'BULLISH' ELSE 'BEARISH' END,
        0.8 * p.share, 0.2, 0.8 - 0.8 * p.share, b.known_at
    FROM market.bars AS b
    CROSS JOIN (SELECT model, version, horizons FROM ml.versions ORDER BY version LIMIT 1) AS v
    CROSS JOIN LATERAL unnest(v.horizons) AS h (horizon)
    CROSS JOIN LATERAL (SELECT abs(hashfloat8(b.close) % 1000) / 1000.0 AS share) AS p
    WHERE b.known_at > :first AND b.known_at <= :last
    ORDER BY b.known_at, b.symbol_id, h.horizon
"""


def run(url: str) -> list[Row]:
    """Measure in the migrated database `url`; no rows where the data is absent.

    The slowest view of all is shown, with its name, and how long the two million outcomes took to resolve.
    """
    if not DAILY.exists():
        return []
    with Warehouse(url) as warehouse:
        ensure_trained(warehouse)
        days = sessions(warehouse, _DAYS)
        with warehouse.begin(Role.OWNER) as connection:
            connection.execute(text(_FORECASTS), {"first": days[0], "last": days[-1]})
        took = seconds(lambda: resolve(warehouse, days[-1]))
        with warehouse.begin(Role.OWNER) as connection:
            n = connection.execute(text("SELECT sum(n) FROM ml.outcome_totals")).scalar_one()
        opened = _opened(warehouse)
    slowest = max(opened, key=lambda what: opened[what])
    return [
        Row(f"resolve {n:,} outcomes at once", took, "s", "-", None, "-", True),
        Row(
            f"the slowest of {len(opened)} openings of views on them: {slowest}", opened[slowest], "s",
            "the goal", _ENOUGH, "at most", opened[slowest] <= _ENOUGH,
        ),
    ]  # fmt: skip


def _opened(warehouse: Warehouse) -> dict[str, float]:
    """Return the seconds of each opening, by what was asked."""
    with warehouse.begin(Role.ANALYST) as connection:
        views = connection.execute(
            text("SELECT table_name FROM information_schema.views WHERE table_schema = 'analytics' ORDER BY 1")
        ).scalars().all()  # fmt: skip
    queries = [f"SELECT * FROM {view} LIMIT 1000" for view in views]
    queries += [f"SELECT * FROM {view} ORDER BY {newest} DESC LIMIT 100" for view, newest in _NEWEST.items()]
    found = {}
    for query in queries:
        with warehouse.begin(Role.ANALYST) as connection:
            found[query] = seconds(lambda query=query: connection.execute(text(query)).all(), runs=3)  # type: ignore[misc]
    return found
