SELECT
    ticker,
    horizon,
    target_ts::date AS target,
    round((100 * p10)::numeric, 2) AS p10,
    round((100 * p50)::numeric, 2) AS p50,
    round((100 * p90)::numeric, 2) AS p90,
    direction,
    round(probability_bullish::numeric, 2) AS bullish
FROM ml_forecasts
ORDER BY ticker, horizon;
