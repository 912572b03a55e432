-- How good each version's forecasts were over the 90 days that end with its newest outcome known by :day.
-- Grain: one row per model, version and horizon.
SELECT DISTINCT ON (model, version, horizon)
    model, version, horizon, day, n, mae, naive_mae, skill, directional_accuracy, majority_accuracy, coverage_80
FROM analytics.forecast_accuracy
WHERE window_days = 90 AND day <= :day AND day > CAST(:day AS date) - 90
ORDER BY model, version, horizon, day DESC
