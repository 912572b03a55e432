-- How often one version named the right direction, per symbol, over the outcomes that became known in the window that
-- ends at :as_of; held against the accuracy it had on its validation part. Into monitoring.drift.
-- Grain, of the result as of what is written: one row per symbol that was forecast or resolved in the window, and day.
--
-- The baseline is that of each outcome's horizon, averaged over the same outcomes; where there is none yet, over the
-- version's horizons. The margin is rounded to 12 digits, so that a symbol exactly on a boundary is on it.
WITH by_horizon AS MATERIALIZED (
    SELECT symbol_id, horizon, count(*) AS n, count(*) FILTER (WHERE hit) AS hits
    FROM ml.outcomes
    WHERE model = :model AND version = :version AND timeframe = :timeframe
      AND known_at > :window_from AND known_at <= :as_of
    GROUP BY symbol_id, horizon
),
realised AS (
    SELECT
        o.symbol_id, sum(o.n) AS n, sum(o.hits) / sum(o.n)::float8 AS accuracy,
        sum(o.n * b.accuracy ORDER BY o.horizon) / sum(o.n)::float8 AS baseline
    FROM by_horizon AS o
    JOIN ml.baselines AS b ON b.model = :model AND b.version = :version AND b.horizon = o.horizon
    GROUP BY o.symbol_id
),
forecast AS (
    SELECT DISTINCT symbol_id
    FROM ml.predictions
    WHERE model = :model AND version = :version AND timeframe = :timeframe
      AND as_of > :window_from AND as_of <= :as_of
),
compared AS (
    SELECT
        symbol_id,
        r.accuracy,
        coalesce(r.n, 0)::bigint AS n_predictions,
        coalesce(
            r.baseline,
            (SELECT avg(accuracy ORDER BY horizon) FROM ml.baselines WHERE model = :model AND version = :version)
        ) AS baseline_accuracy,
        round((r.accuracy - r.baseline)::numeric, 12)::float8 AS drift_margin
    FROM forecast
    FULL JOIN realised AS r USING (symbol_id)
),
measured AS MATERIALIZED (
    SELECT
        *,
        CASE
            WHEN n_predictions < :minimum THEN 'insufficient'
            WHEN drift_margin < :emergency_below THEN 'emergency'
            WHEN drift_margin < :alert_below THEN 'alert'
            WHEN drift_margin <= :normal_above THEN 'monitor'
            ELSE 'normal'
        END AS state
    FROM compared
),
kept AS (
    INSERT INTO monitoring.drift AS d (
        model, version, symbol_id, timeframe, day, accuracy, n_predictions, baseline_accuracy, drift_margin,
        drift_detected, state
    )
    SELECT
        :model, :version, symbol_id, :timeframe, :day, accuracy, n_predictions, baseline_accuracy, drift_margin,
        state IN ('alert', 'emergency'), state
    FROM measured
    ORDER BY symbol_id
    ON CONFLICT (model, version, symbol_id, timeframe, day) DO UPDATE
    SET accuracy = EXCLUDED.accuracy, n_predictions = EXCLUDED.n_predictions,
        baseline_accuracy = EXCLUDED.baseline_accuracy, drift_margin = EXCLUDED.drift_margin,
        drift_detected = EXCLUDED.drift_detected, state = EXCLUDED.state, created_at = clock_timestamp()
    WHERE (d.accuracy, d.n_predictions, d.baseline_accuracy, d.drift_margin, d.state)
        IS DISTINCT FROM (EXCLUDED.accuracy, EXCLUDED.n_predictions, EXCLUDED.baseline_accuracy,
                          EXCLUDED.drift_margin, EXCLUDED.state)
)
SELECT s.ticker, m.accuracy, m.n_predictions, m.baseline_accuracy, m.drift_margin, m.state
FROM measured AS m
JOIN market.symbols AS s ON s.id = m.symbol_id
ORDER BY m.drift_margin NULLS LAST, s.ticker
