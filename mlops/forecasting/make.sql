-- Store the run, and the forecasts that were not made before. One that was made before stays as it is, with its
-- `made_at`.
-- Grain of the result: one row, with how many forecasts are new.
WITH made AS (
    INSERT INTO ml.predictions (
        model, version, symbol_id, timeframe, horizon, as_of, ts, target_ts, p10, p50, p90,
        direction, probability_bullish, probability_neutral, probability_bearish, run_id
    )
    SELECT
        model, version, symbol_id, timeframe, horizon, as_of, ts, target_ts, p10, p50, p90,
        direction, probability_bullish, probability_neutral, probability_bearish, CAST(:run_id AS uuid)
    FROM forecasts_to_make
    ORDER BY model, version, symbol_id, timeframe, horizon, as_of
    ON CONFLICT (model, version, symbol_id, timeframe, horizon, as_of) DO NOTHING
    RETURNING 1
),
counted AS (
    SELECT count(*)::integer AS n FROM made
),
kept AS (
    INSERT INTO ml.forecast_runs (
        run_id, model, version, role, as_of, status, seconds, scoring_seconds, provider, packages, n_symbols, n_made,
        n_present, n_refused
    )
    SELECT
        CAST(:run_id AS uuid), :model, :version, :role, :as_of, 'succeeded', :seconds, :scoring_seconds, :provider,
        CAST(:packages AS jsonb), :n_symbols, n, :n_forecasts - n, :n_refused
    FROM counted
)
SELECT n FROM counted
