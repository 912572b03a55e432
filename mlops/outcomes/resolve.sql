-- Fill in what came of the forecasts that are open and whose label is known by :as_of, and bring those outcomes up to
-- date whose label changed after it was read. One statement, so that both halves see the same labels.
-- Grain of the result: one row, with how many were resolved and how many really changed.
--
-- Resolving is bounded by what is open: each open bar is looked up once, and the oldest bounds what is read at all. The
-- triggers on ml.outcomes take what is resolved out of ml.unresolved. labels.forward holds all horizons of a bar in a row:
-- labels.by_horizon, the same in long form, would read it once a horizon.
--
-- Correcting is bounded by what was rebuilt. recorded_at grows in the order in which bars were committed, and labels are
-- rebuilt in one transaction: what was rebuilt since the last time was recorded after every label that an outcome has
-- been read from. A row that was rebuilt because its neighbour was corrected is looked at and, being as it was, left
-- alone. Here :as_of does not count, or a later run would miss what this one passed over: an outcome that is there was
-- known when it was resolved.
WITH open_bars AS MATERIALIZED (
    SELECT DISTINCT symbol_id, timeframe, ts FROM ml.unresolved WHERE as_of < :as_of
),
known AS MATERIALIZED (
    SELECT l.symbol_id, l.timeframe, l.ts, h.horizon, h.forward_return, h.direction, h.known_at, l.recorded_at
    FROM open_bars AS b
    JOIN labels.forward AS l USING (symbol_id, timeframe, ts)
    CROSS JOIN LATERAL (VALUES
        (1, l.forward_return_1, l.direction_1, l.known_at_1), (5, l.forward_return_5, l.direction_5, l.known_at_5),
        (10, l.forward_return_10, l.direction_10, l.known_at_10),
        (20, l.forward_return_20, l.direction_20, l.known_at_20)
    ) AS h (horizon, forward_return, direction, known_at)
    WHERE l.ts >= (SELECT min(ts) FROM open_bars) AND h.known_at <= :as_of
),
-- Materialized, so that each prediction is looked up by its whole key: the planner thinks that almost nothing is due.
due AS MATERIALIZED (
    SELECT u.model, u.version, u.as_of, k.*
    FROM known AS k
    JOIN ml.unresolved AS u USING (symbol_id, timeframe, ts, horizon)
),
resolved AS (
    INSERT INTO ml.outcomes (
        model, version, symbol_id, timeframe, horizon, as_of, ts, actual, actual_direction, error, naive_error,
        hit, covered, known_at, recorded_at, resolved_at
    )
    SELECT
        p.model, p.version, p.symbol_id, p.timeframe, p.horizon, p.as_of, p.ts, d.forward_return, d.direction,
        p.p50 - d.forward_return, -d.forward_return, p.direction = d.direction,
        d.forward_return BETWEEN p.p10 AND p.p90, d.known_at, d.recorded_at, statement_timestamp()
    FROM due AS d
    JOIN ml.predictions AS p USING (model, version, symbol_id, timeframe, horizon, as_of)
    ORDER BY p.model, p.version, p.symbol_id, p.timeframe, p.horizon, p.as_of
    RETURNING 1
),
rebuilt AS MATERIALIZED (
    SELECT l.symbol_id, l.timeframe, l.ts, h.horizon, h.forward_return, h.direction, h.known_at, l.recorded_at
    FROM labels.forward AS l
    CROSS JOIN LATERAL (VALUES
        (1, l.forward_return_1, l.direction_1, l.known_at_1), (5, l.forward_return_5, l.direction_5, l.known_at_5),
        (10, l.forward_return_10, l.direction_10, l.known_at_10),
        (20, l.forward_return_20, l.direction_20, l.known_at_20)
    ) AS h (horizon, forward_return, direction, known_at)
    WHERE l.recorded_at > (SELECT max(recorded_at) FROM ml.outcomes) AND h.known_at IS NOT NULL
),
corrected AS (
    UPDATE ml.outcomes AS o
    SET actual = r.forward_return, actual_direction = r.direction, error = p.p50 - r.forward_return,
        naive_error = -r.forward_return, hit = p.direction = r.direction,
        covered = r.forward_return BETWEEN p.p10 AND p.p90, known_at = r.known_at, recorded_at = r.recorded_at,
        resolved_at = statement_timestamp()
    FROM rebuilt AS r, ml.predictions AS p
    WHERE o.symbol_id = r.symbol_id AND o.timeframe = r.timeframe AND o.ts = r.ts AND o.horizon = r.horizon
      AND o.as_of > (SELECT min(ts) FROM rebuilt)
      AND p.model = o.model AND p.version = o.version AND p.symbol_id = o.symbol_id AND p.timeframe = o.timeframe
      AND p.horizon = o.horizon AND p.as_of = o.as_of AND p.as_of > (SELECT min(ts) FROM rebuilt)
      AND (o.actual, o.actual_direction, o.known_at) IS DISTINCT FROM (r.forward_return, r.direction, r.known_at)
    RETURNING 1
)
SELECT (SELECT count(*) FROM resolved) AS resolved, (SELECT count(*) FROM corrected) AS corrected
