-- What timeframes there are. Grain: one row per timeframe, the shortest first.
SELECT timeframe, bar_length, session_rule, horizons, thresholds
FROM market.timeframes
ORDER BY bar_length, timeframe
