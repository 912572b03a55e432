-- Fill in what came of the forecasts made from :first to :last that are open and whose label is known by :as_of, and
-- bring those outcomes up to date whose label changed after it was read. One statement, so that both halves see the same
-- labels.
-- Grain of the result: one row, with how many were resolved and how many really changed.
--
-- A forecast is judged by the labels that its version was trained on, and by that version's thresholds, whatever
-- market.timeframes has by now.
--
-- Resolving is bounded by what is open: each open bar is looked up once, and the oldest bounds what is read at all. A
-- prediction is looked up in each chunk from :first to :last, so these are not far apart. The triggers on ml.outcomes take
-- what is resolved out of ml.unresolved, and add it up in ml.outcome_totals.
--
-- Correcting is bounded by what was rebuilt. recorded_at grows in the order in which bars were committed, and labels are
-- rebuilt in one transaction: what was rebuilt since the last time was recorded after every label of the set that was
-- looked at, up to ml.labels_seen. A row that was rebuilt because its neighbour was corrected is looked at and, being as
-- it was, left alone. Here :as_of does not count, or a later run would miss what this one passed over: an outcome that is
-- there was known when it was resolved.
WITH judges AS (
    SELECT v.model, v.version, v.label_set, v.label_set_version, h.horizon, h.threshold
    FROM ml.versions AS v
    CROSS JOIN LATERAL unnest(v.horizons, v.thresholds) AS h (horizon, threshold)
),
-- What is open is read by itself, and its bars are looked up in every label set. If the versions were joined here, the
-- planner would expect almost no open forecasts, and look each bar up among all bars of the same time. So it would where
-- its statistics are of other days than these forecasts, as after many were made of the past; it knows nothing of the sum
-- of a time and an interval, and expects a third of the table. (With :first as well it would expect a two-hundredth; what
-- is open from before that is not known, or the part before had resolved it.)
open_forecasts AS MATERIALIZED (
    SELECT model, version, symbol_id, timeframe, horizon, as_of, ts
    FROM ml.unresolved
    WHERE as_of + INTERVAL '0 seconds' <= :last
),
open_bars AS MATERIALIZED (
    SELECT DISTINCT symbol_id, timeframe, ts FROM open_forecasts
),
known AS MATERIALIZED (
    SELECT
        l.label_set, l.label_set_version, l.symbol_id, l.timeframe, l.ts, h.horizon, h.forward_return, h.known_at,
        l.recorded_at
    FROM open_bars AS b
    JOIN labels.vectors AS l USING (symbol_id, timeframe, ts)
    CROSS JOIN LATERAL unnest(l.horizons, l.forward_returns, l.known_ats) AS h (horizon, forward_return, known_at)
    WHERE l.ts >= (SELECT min(ts) FROM open_bars) AND h.known_at <= :as_of
),
answered AS MATERIALIZED (
    SELECT f.model, f.version, f.as_of, k.*
    FROM known AS k
    JOIN open_forecasts AS f USING (symbol_id, timeframe, ts, horizon)
),
-- Materialized, so that each prediction is looked up by its whole key: the planner expects almost nothing to be due.
due AS MATERIALIZED (
    SELECT
        a.*,
        CASE
            WHEN a.forward_return > j.threshold THEN 'BULLISH'
            WHEN a.forward_return < -j.threshold THEN 'BEARISH'
            ELSE 'NEUTRAL'
        END AS direction
    FROM answered AS a
    JOIN judges AS j USING (model, version, label_set, label_set_version, horizon)
),
resolved AS (
    INSERT INTO ml.outcomes (
        model, version, symbol_id, timeframe, horizon, as_of, ts, actual, actual_direction, error, naive_error,
        hit, covered, confidence, quantiles_below, known_at, recorded_at, resolved_at
    )
    SELECT
        p.model, p.version, p.symbol_id, p.timeframe, p.horizon, p.as_of, p.ts, d.forward_return, d.direction,
        p.p50 - d.forward_return, -d.forward_return, p.direction = d.direction,
        d.forward_return BETWEEN p.p10 AND p.p90,
        CASE p.direction
            WHEN 'BULLISH' THEN p.probability_bullish
            WHEN 'NEUTRAL' THEN p.probability_neutral
            ELSE p.probability_bearish
        END,
        (p.p10 < d.forward_return)::integer + (p.p50 < d.forward_return)::integer + (p.p90 < d.forward_return)::integer,
        d.known_at, d.recorded_at, statement_timestamp()
    FROM due AS d
    JOIN ml.predictions AS p USING (model, version, symbol_id, timeframe, horizon, as_of)
    WHERE p.as_of BETWEEN :first AND :last
    ORDER BY p.model, p.version, p.symbol_id, p.timeframe, p.horizon, p.as_of
    RETURNING 1
),
rebuilt AS MATERIALIZED (
    SELECT
        l.label_set, l.label_set_version, l.symbol_id, l.timeframe, l.ts, h.horizon, h.forward_return, h.known_at,
        l.recorded_at
    FROM ml.labels_seen AS seen
    JOIN labels.vectors AS l ON l.label_set = seen.label_set AND l.recorded_at > seen.seen_up_to
    CROSS JOIN LATERAL unnest(l.horizons, l.forward_returns, l.known_ats) AS h (horizon, forward_return, known_at)
    WHERE h.known_at IS NOT NULL
),
judged AS (
    SELECT
        j.model, j.version, r.*,
        CASE
            WHEN r.forward_return > j.threshold THEN 'BULLISH'
            WHEN r.forward_return < -j.threshold THEN 'BEARISH'
            ELSE 'NEUTRAL'
        END AS direction
    FROM rebuilt AS r
    JOIN judges AS j USING (label_set, label_set_version, horizon)
),
corrected AS (
    UPDATE ml.outcomes AS o
    SET actual = r.forward_return, actual_direction = r.direction, error = p.p50 - r.forward_return,
        naive_error = -r.forward_return, hit = p.direction = r.direction,
        covered = r.forward_return BETWEEN p.p10 AND p.p90,
        quantiles_below = (p.p10 < r.forward_return)::integer + (p.p50 < r.forward_return)::integer
            + (p.p90 < r.forward_return)::integer,
        known_at = r.known_at, recorded_at = r.recorded_at, resolved_at = statement_timestamp()
    FROM judged AS r, ml.predictions AS p
    WHERE o.model = r.model AND o.version = r.version
      AND o.symbol_id = r.symbol_id AND o.timeframe = r.timeframe AND o.ts = r.ts AND o.horizon = r.horizon
      AND o.as_of > (SELECT min(ts) FROM rebuilt)
      AND p.model = o.model AND p.version = o.version AND p.symbol_id = o.symbol_id AND p.timeframe = o.timeframe
      AND p.horizon = o.horizon AND p.as_of = o.as_of AND p.as_of > (SELECT min(ts) FROM rebuilt)
      AND (o.actual, o.actual_direction, o.known_at) IS DISTINCT FROM (r.forward_return, r.direction, r.known_at)
    RETURNING 1
),
looked_at AS (
    INSERT INTO ml.labels_seen AS seen (label_set, seen_up_to)
    SELECT label_set, max(recorded_at)
    FROM (SELECT label_set, recorded_at FROM due UNION ALL SELECT label_set, recorded_at FROM rebuilt) AS read
    GROUP BY label_set
    ON CONFLICT (label_set) DO UPDATE SET seen_up_to = greatest(seen.seen_up_to, excluded.seen_up_to)
)
SELECT (SELECT count(*) FROM resolved) AS resolved, (SELECT count(*) FROM corrected) AS corrected
