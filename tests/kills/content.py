"""What a database and an inbox hold, but for what differs from run to run: numbers that are drawn, times."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

SCHEMAS = ["market", "staging", "features", "labels", "ml", "monitoring", "analytics", "public"]
_STORED = ["market", "features", "labels", "ml", "monitoring"]

_DRAWN = {
    "id", "symbol_id", "ingest_id", "run_id", "move_id", "attempt", "recorded_at", "superseded_at", "started_at",
    "finished_at", "created_at", "made_at", "moved_at", "resolved_at", "checked_at", "measured_at", "bytes", "file",
}  # fmt: skip
"""Columns of a number that is drawn, a time of the clock, or where a file lay."""

_BY_HAND = {
    # A file that was taken in, and not yet moved when the process was killed, is taken in again: that changes nothing.
    ("market", "ingests"): "SELECT kind, sum(n_new), sum(n_changed) FROM market.ingests GROUP BY kind",
    ("market", "rejects"): "SELECT DISTINCT kind, reason, row::text FROM market.rejects",
    # What was killed stands there as abandoned, what lost its server as failed. Killed after its version was there, a
    # training runs again and comes to the same version.
    ("ml", "runs"): """
        SELECT DISTINCT model, as_of, status, n_train, n_validation, n_test, n_excluded, metrics::text
        FROM ml.runs WHERE status NOT IN ('abandoned', 'failed')
    """,
    # A version that was killed after it had answered answers again, and makes nothing new.
    ("ml", "forecast_runs"): """
        SELECT DISTINCT model, version, role, as_of, status, n_symbols, n_made + n_present, n_refused
        FROM ml.forecast_runs WHERE status <> 'failed'
    """,
    ("ml", "refusals"): """
        SELECT DISTINCT model, version, as_of, ticker, horizon, reason
        FROM ml.refusals JOIN ml.forecast_runs USING (run_id) JOIN market.symbols ON id = symbol_id
    """,
    # What was typed without a moment is as of the one at which it was typed.
    ("monitoring", "job_runs"): """
        SELECT DISTINCT job, subject, CASE WHEN started_at - as_of > INTERVAL '1 hour' THEN as_of END, state
        FROM monitoring.job_runs WHERE state NOT IN ('abandoned', 'failed')
    """,
    # What was checked before the kill is checked again.
    ("monitoring", "check_results"): """
        SELECT DISTINCT
            suite, expectation, relation, timeframe, as_of, success, quarantined, observed, rows_at_fault
        FROM monitoring.check_results
    """,
    ("monitoring", "symbols_at_fault"): """
        SELECT DISTINCT suite, expectation, relation, ticker, rows_at_fault
        FROM monitoring.symbols_at_fault JOIN market.symbols ON id = symbol_id
    """,
    ("monitoring", "locks"): "SELECT WHERE false",
    ("ml", "labels_seen"): "SELECT label_set FROM ml.labels_seen",
    ("features", "watermarks"): "SELECT relation, definition, shape FROM features.watermarks",
}
"""Queries for tables where a second attempt leaves a trace, as it should."""

_RELATIONS = """
    SELECT n.nspname, c.relname, c.relkind::text
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY(%s) OR n.nspname LIKE 'pg_temp%%' OR n.nspname LIKE 'pg_toast_temp%%'
"""
_CHUNKS = "SELECT hypertable_schema, hypertable_name, count(*) FROM timescaledb_information.chunks GROUP BY 1, 2"

Rows = list[tuple[Any, ...]]


def content(url: str, inbox: Path) -> dict[str, Rows]:
    """Return all that there is, by table, in an order of its own."""
    found: dict[str, Rows] = {}
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname = ANY(%s) ORDER BY 1, 2", (_STORED,)
        ).fetchall()
        for schema, table in tables:
            found[f"{schema}.{table}"] = _rows(connection, schema, table)
        found["relations"] = _sorted(connection.execute(_RELATIONS, (SCHEMAS,)).fetchall())
        found["chunks"] = _sorted(connection.execute(_CHUNKS).fetchall())
        found["revision"] = connection.execute("SELECT version_num FROM public.alembic_version").fetchall()
    found["files"] = sorted((str(path.relative_to(inbox)),) for path in inbox.rglob("*") if path.is_file())
    return found


def differences(expected: dict[str, Rows], found: dict[str, Rows]) -> list[str]:
    """Return a line for each difference, the first few of a table."""
    lines = []
    for table in sorted(expected.keys() | found.keys()):
        theirs, ours = expected.get(table, []), found.get(table, [])
        if len(theirs) != len(ours):
            lines.append(f"{table}: {len(ours)} rows instead of {len(theirs)}")
            lines += [f"  one too many or changed: {row}" for row in [row for row in ours if row not in theirs][:3]]
            lines += [f"  one missing or changed: {row}" for row in [row for row in theirs if row not in ours][:3]]
        else:
            unlike = [(a, b) for a, b in zip(theirs, ours, strict=True) if not _alike(a, b)]
            lines += [f"{table}: {b} instead of {a}" for a, b in unlike[:3]]
    return lines


def left_over(url: str) -> list[str]:
    """Return a line for each thing that something that was killed has left open."""
    with psycopg.connect(url) as connection:
        queries = {
            "job still running": "SELECT job, as_of FROM monitoring.job_runs WHERE state = 'running'",
            "training still running": "SELECT model, as_of FROM ml.runs WHERE status = 'running'",
            "row of a training set": "SELECT run_id FROM ml.training_rows LIMIT 1",
            "session still open": "SELECT pid, state, query FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND datname = current_database() AND pid <> pg_backend_pid()",
            "transaction prepared": "SELECT gid FROM pg_prepared_xacts",
        }
        return [f"{what}: {row}" for what, query in queries.items() for row in connection.execute(query)]


def _rows(connection: psycopg.Connection, schema: str, table: str) -> Rows:
    by_hand = _BY_HAND.get((schema, table))
    if by_hand is not None:
        return _sorted(connection.execute(by_hand).fetchall())
    columns = [
        name
        for (name,) in connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped "
            "ORDER BY attnum",
            (f"{schema}.{table}",),
        )
    ]
    wanted = [sql.SQL("t.{}").format(sql.Identifier(name)) for name in columns if name not in _DRAWN]
    relation = sql.SQL("{} AS t").format(sql.Identifier(schema, table))
    if "symbol_id" in columns:
        wanted.insert(0, sql.SQL("s.ticker"))
        relation += sql.SQL(" JOIN market.symbols AS s ON s.id = t.symbol_id")
    if not wanted:
        return []
    query = sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(wanted), relation)
    return _sorted(connection.execute(query).fetchall())


def _sorted(rows: Rows) -> Rows:
    """Sort by what is no float first: floats may differ in their last digits, and must not change the order."""
    return sorted(rows, key=lambda row: (repr([each for each in row if not isinstance(each, float)]), repr(row)))


def _alike(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9) or (math.isnan(a) and math.isnan(b))
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(_alike(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)
