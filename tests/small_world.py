"""A few symbols with sessions, features, labels and a registered model, all of known values.

What training, dbt and ingest write in earnest is written here by hand, through the same tables, so that a test can
plant what it wants. The feature and label tables are those that dbt builds where they are there already.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text
from technical import HORIZONS, TECHNICAL_FEATURES
from tiny_model import tiny_model

from mlops.domain import Role
from mlops.spec import DriftSpec
from mlops.warehouse import Warehouse

FIRST = date(2020, 1, 1)
OPEN, CLOSE = timedelta(hours=14, minutes=30), timedelta(hours=21)
FEATURE_SET = "technical-1"
LABEL_SET = "forward-1"
THRESHOLD = 0.005
"""By which the versions of this world are judged, at every horizon."""

RECORDED = datetime(2021, 6, 1, tzinfo=UTC)

_LOCK_WAITERS = """
    SELECT count(DISTINCT pid) AS n FROM pg_locks INNER JOIN pg_stat_activity USING (pid)
    WHERE datname = current_database() AND locktype IN ('transactionid', 'tuple') AND NOT granted
"""
_FEATURES = f"""
    CREATE TABLE IF NOT EXISTS features.technical (
        symbol_id bigint, timeframe text, ts timestamptz, as_of timestamptz, known_at timestamptz,
        recorded_at timestamptz, feature_set_version text,
        {", ".join(f"{name} double precision" for name in TECHNICAL_FEATURES)},
        PRIMARY KEY (symbol_id, timeframe, ts)
    )
"""
_PUBLISH = text(
    "SELECT features.publish_feature_sets('features', CAST(:declared AS jsonb)) "
    "WHERE NOT EXISTS (SELECT FROM features.catalog WHERE feature_set = 'technical')"
)
_DECLARED = json.dumps(
    [
        {
            "name": "technical",
            "version": FEATURE_SET,
            "relation": "features.technical",
            "bars_before_first_row": 0,
            "features": [{"name": name} for name in TECHNICAL_FEATURES],
        }
    ]
)
_LABELS = """
    CREATE TABLE IF NOT EXISTS labels.forward (
        symbol_id bigint, timeframe text, ts timestamptz, as_of timestamptz, recorded_at timestamptz,
        label_set_version text, horizons integer[], forward_returns float8[], known_ats timestamptz[],
        PRIMARY KEY (symbol_id, timeframe, ts)
    )
"""
_PUBLISH_LABELS = text(
    "SELECT labels.publish_label_sets('labels', CAST(:declared AS jsonb)) "
    "WHERE NOT EXISTS (SELECT FROM labels.catalog WHERE label_set = 'forward')"
)
_DECLARED_LABELS = json.dumps([{"name": "forward", "version": LABEL_SET, "relation": "labels.forward"}])


def sessions(n: int) -> list[date]:
    """Return the first `n` weekdays from 2020-01-01."""
    days = (FIRST + timedelta(days=i) for i in range(2 * n))
    return [day for day in days if day.weekday() < 5][:n]


def opens(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), UTC) + OPEN


def closes(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), UTC) + CLOSE


@dataclass
class World:
    """`tickers` with features at each of the first `n_bars` sessions; the calendar goes on for 60 more."""

    warehouse: Warehouse
    tickers: tuple[str, ...] = ("AAPL", "IBM", "MSFT")
    n_bars: int = 100
    ids: dict[str, int] = field(default_factory=dict)
    days: list[date] = field(default_factory=list)
    features: NDArray[Any] = field(default_factory=lambda: np.empty(0))
    returns: dict[int, NDArray[Any]] = field(default_factory=dict)

    def build(self) -> World:
        """Write symbols, sessions, features and labels."""
        self.days = sessions(self.n_bars + 60)
        rng = np.random.default_rng(1)
        self.features = rng.normal(size=(len(self.tickers), self.n_bars, len(TECHNICAL_FEATURES)))
        closing = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, (len(self.tickers), self.n_bars)), axis=1))
        self.returns = {h: closing[:, h:] / closing[:, :-h] - 1 for h in HORIZONS}
        with self.warehouse.begin(Role.DBT) as connection:
            for statement in (_FEATURES, _LABELS):
                connection.execute(text(statement))
        self.publish()
        with self.warehouse.begin(Role.OWNER) as connection:
            connection.execute(
                text("INSERT INTO market.sessions VALUES ('XNYS', :session, :opens_at, :closes_at, :ordinal)"),
                [
                    {"session": day, "opens_at": opens(day), "closes_at": closes(day), "ordinal": i}
                    for i, day in enumerate(self.days)
                ],
            )
            for ticker in self.tickers:
                self.ids[ticker] = connection.execute(
                    text(
                        "INSERT INTO market.symbols (ticker, asset_class, exchange, timezone) "
                        "VALUES (:t, 'equity', 'XNYS', 'America/New_York') RETURNING id"
                    ),
                    {"t": ticker},
                ).scalar_one()
        with self.warehouse.begin(Role.DBT) as connection:
            self._write_features(connection)
            self._write_labels(connection)
        return self

    def publish(self) -> None:
        """Declare features and labels, as dbt does; not in a database that is older than that."""
        with self.warehouse.begin(Role.DBT) as connection:
            if connection.execute(text("SELECT to_regproc('features.publish_feature_sets')")).scalar_one():
                connection.execute(_PUBLISH, {"declared": _DECLARED})
            if connection.execute(text("SELECT to_regproc('labels.publish_label_sets')")).scalar_one():
                connection.execute(_PUBLISH_LABELS, {"declared": _DECLARED_LABELS})

    def _write_features(self, connection: Connection) -> None:
        names = ", ".join(TECHNICAL_FEATURES)
        values = ", ".join(f":{name}" for name in TECHNICAL_FEATURES)
        connection.execute(
            text(
                "INSERT INTO features.technical (symbol_id, timeframe, ts, as_of, known_at, recorded_at, "
                f"feature_set_version, {names}) "
                f"VALUES (:symbol_id, 'd1', :ts, :as_of, :as_of, :recorded_at, '{FEATURE_SET}', {values})"
            ),
            [
                {"symbol_id": self.ids[ticker], "ts": opens(day), "as_of": closes(day), "recorded_at": RECORDED}
                | dict(zip(TECHNICAL_FEATURES, map(float, self.features[s, i]), strict=True))
                for s, ticker in enumerate(self.tickers)
                for i, day in enumerate(self.days[: self.n_bars])
            ],
        )

    def _write_labels(self, connection: Connection) -> None:
        rows = []
        for s, ticker in enumerate(self.tickers):
            for i, day in enumerate(self.days[: self.n_bars]):
                known = [h for h in HORIZONS if i + h < self.n_bars]
                unknown = [None] * (len(HORIZONS) - len(known))
                rows.append(
                    {
                        "symbol_id": self.ids[ticker], "ts": opens(day), "as_of": closes(day), "recorded_at": RECORDED,
                        "horizons": list(HORIZONS),
                        "returns": [float(self.returns[h][s, i]) for h in known] + unknown,
                        "known_ats": [closes(self.days[i + h]) for h in known] + unknown,
                    }
                )  # fmt: skip
        connection.execute(
            text(
                "INSERT INTO labels.forward (symbol_id, timeframe, ts, as_of, recorded_at, label_set_version, "
                "horizons, forward_returns, known_ats) "
                f"VALUES (:symbol_id, 'd1', :ts, :as_of, :recorded_at, '{LABEL_SET}', :horizons, "
                " CAST(:returns AS double precision []), CAST(:known_ats AS timestamptz []))"
            ),
            rows,
        )

    def close_of(self, bar: int) -> datetime:
        """When the bar of that number, from 0, is known."""
        return closes(self.days[bar])

    def owner(self, statement: str, **parameters: object) -> None:
        """Run `statement` as the server's administrator: what no job may do, a test may plant."""
        with self.warehouse.begin(role=None) as connection:
            connection.execute(text(statement), parameters)

    def rows(self, query: str, **parameters: object) -> list[Any]:
        """Return what `query` gives, as the worker sees it."""
        with self.warehouse.begin() as connection:
            return list(connection.execute(text(query), parameters).all())

    def await_lock_waiters(self, n: int, seconds: float = 20) -> None:
        """Wait until `n` sessions stand before one of our locks. Fails where they do not come."""
        end = time.monotonic() + seconds
        while self.rows(_LOCK_WAITERS)[0].n < n:
            assert time.monotonic() < end, f"{n} sessions should wait for a lock"
            time.sleep(0.02)


def direction(actual: float, threshold: float = THRESHOLD) -> str:
    """Return the direction of a return, by one threshold for all horizons."""
    return "BULLISH" if actual > threshold else "BEARISH" if actual < -threshold else "NEUTRAL"


DECLARE = text("""
    WITH declared AS (
        SELECT model FROM ml.declare_model(:model, :timeframe, :horizons, CAST(:universe AS jsonb), :label_set)
    ),
    given AS (
        SELECT d, encode(sha256(convert_to(CAST(d AS text), 'UTF8')), 'hex') AS sha256
        FROM (SELECT CAST(:spec AS jsonb) AS d) AS parsed
    ),
    added AS (
        INSERT INTO ml.specs (sha256, model, candidate, document)
        SELECT sha256, declared.model, :candidate, d FROM given, declared ON CONFLICT DO NOTHING
    )
    SELECT sha256 FROM given
""")
REGISTER = (
    "INSERT INTO ml.runs (run_id, model, as_of, status, spec_sha256, started_at, finished_at, metrics) "
    "VALUES (:run_id, :model, :as_of, 'succeeded', :spec_sha256, now(), now(), :metrics)",
    "INSERT INTO ml.artifacts (sha256, format, bytes) VALUES (:sha256, 'onnx', :bytes) ON CONFLICT DO NOTHING",
    "INSERT INTO ml.versions (model, version, run_id, candidate, spec_sha256, major, minor, patch, family, timeframe, "
    "horizons, n_symbols, data_from, data_to, data_fingerprint, split, seed, hyperparameters, packages, code_revision, "
    "metrics, label_set, label_set_version, thresholds) VALUES (:model, :version, :run_id, :candidate, :spec_sha256, "
    "1, 0, :version - 1, 'linear', :timeframe, :horizons, 1, :as_of, :as_of, 'x', '{}', 1, '{}', '{}', 'x', :metrics, "
    ":label_set, :label_set_version, :thresholds)",
    "INSERT INTO ml.version_inputs (model, version, input, kind, feature_set, feature_set_version, features) "
    "VALUES (:model, :version, 'features', 'row', 'technical', :feature_set, :features)",
    "INSERT INTO ml.components (model, version, member, format, sha256, tolerance, parity) "
    "VALUES (:model, :version, :candidate, 'onnx', :sha256, 1e-5, 0)",
)


def register(
    warehouse: Warehouse,
    trained_as_of: datetime,
    *,
    model: str = "tiny",
    version: int = 1,
    alias: str | None = "production",
    artifact: bytes | None = None,
    horizons: tuple[int, ...] = HORIZONS,
    accuracy: dict[int, float] | None = None,
    references: dict[str, tuple[list[float], list[int]]] | None = None,
    drift: DriftSpec | None = None,
    timeframe: str = "d1",
    metrics: dict[str, object] | None = None,
    candidate: str = "linear",
    universe: dict[str, object] | None = None,
    label_set: str = "forward",
    thresholds: tuple[float, ...] | None = None,
) -> str:
    """Write a run, an artifact and a version as training does, point `alias` at it, and return its SHA-256."""
    artifact = artifact or tiny_model(horizons, seed=version, feature_set_version=FEATURE_SET)
    sha256 = hashlib.sha256(artifact).hexdigest()
    spec = {"model": model, "candidate": candidate, "drift": (drift or DriftSpec()).model_dump()}
    facts = {
        "run_id": uuid.uuid4(), "model": model, "version": version, "sha256": sha256, "as_of": trained_as_of,
        "spec": json.dumps(spec), "bytes": artifact, "timeframe": timeframe, "horizons": list(horizons),
        "features": list(TECHNICAL_FEATURES), "feature_set": FEATURE_SET, "metrics": json.dumps(metrics or {}),
        "candidate": candidate, "universe": json.dumps(universe or {}), "label_set": label_set,
        "label_set_version": f"{label_set}-1", "thresholds": list(thresholds or [THRESHOLD] * len(horizons)),
    }  # fmt: skip
    with warehouse.begin(Role.WORKER) as connection:
        facts["spec_sha256"] = connection.execute(DECLARE, facts).scalar_one()
        for statement in REGISTER:
            connection.execute(text(statement), facts)
        for h in horizons:
            connection.execute(
                text(
                    "INSERT INTO ml.baselines (model, version, horizon, accuracy, train_median, majority_class) "
                    "VALUES (:model, :version, :h, :accuracy, 0, 'BULLISH')"
                ),
                {"model": model, "version": version, "h": h, "accuracy": (accuracy or {}).get(h, 0.4)},
            )
        for name, (edges, counts) in (references or {}).items():
            connection.execute(
                text(
                    "INSERT INTO ml.references (model, version, feature, edges, counts) "
                    "VALUES (:model, :version, :feature, :edges, :counts)"
                ),
                {"model": model, "version": version, "feature": name, "edges": edges, "counts": counts},
            )
    if alias:
        point(warehouse, alias, model, version)
    return sha256


def point(warehouse: Warehouse, alias: str, model: str, version: int) -> None:
    """Let the alias point at the version, as registering and promoting do."""
    given = {"model": model, "alias": alias, "version": version}
    had = "SELECT EXISTS (SELECT FROM ml.alias_moves WHERE model = :model AND alias = 'production')"
    with warehouse.begin() as connection:
        promote = alias == "production" and connection.execute(text(had), given).scalar_one()
    with warehouse.begin(Role.APPROVER if promote else Role.WORKER) as connection:
        function = (
            "ml.promote(:model, :version, 'planted')"
            if promote
            else ("ml.place_version(:model, :version, :alias, 'planted')")
        )
        connection.execute(text(f"SELECT {function}"), given)
