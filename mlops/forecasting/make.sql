-- Keep the forecasts that were not made before; one that was stays as it is, `made_at` included.
-- Grain of the result: one row per model and version, with how many forecasts are new.
WITH made AS (
    INSERT INTO ml.predictions (
        model, version, symbol_id, timeframe, horizon, as_of, ts, target_ts, p10, p50, p90,
        direction, probability_bullish, probability_neutral, probability_bearish
    )
    SELECT
        model, version, symbol_id, timeframe, horizon, as_of, ts, target_ts, p10, p50, p90,
        direction, probability_bullish, probability_neutral, probability_bearish
    FROM forecasts_to_make
    ORDER BY model, version, symbol_id, timeframe, horizon, as_of
    ON CONFLICT (model, version, symbol_id, timeframe, horizon, as_of) DO NOTHING
    RETURNING model, version
)
SELECT model, version, count(*) AS made FROM made GROUP BY model, version
