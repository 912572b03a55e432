-- The newest forecasts, as of :as_of, of the versions in production, for people to look at.
-- Grain: one row per model in production, symbol and horizon, by ticker.
SELECT
    s.ticker, p.timeframe, t.session_rule <> 'clock' AS is_dated,
    p.horizon, p.as_of, p.target_ts, p.p10, p.p50, p.p90, p.direction,
    greatest(p.probability_bullish, p.probability_neutral, p.probability_bearish) AS probability, p.model, p.version
FROM ml.serving AS v
CROSS JOIN market.symbols AS s
CROSS JOIN unnest(v.horizons) AS h (horizon)
CROSS JOIN LATERAL (
    SELECT * FROM ml.predictions
    WHERE model = v.model AND version = v.version AND symbol_id = s.id AND timeframe = v.timeframe
      AND horizon = h.horizon AND as_of <= :as_of
    ORDER BY as_of DESC
    LIMIT 1
) AS p
JOIN market.timeframes AS t ON t.timeframe = v.timeframe
WHERE v.role = 'production' AND (CAST(:model AS text) IS NULL OR v.model = :model)
ORDER BY s.ticker, p.model, p.horizon
