SELECT
    horizon,
    candidate,
    n,
    round((100 * mae)::numeric, 2) AS mae,
    round((100 * naive_mae)::numeric, 2) AS naive_mae,
    round((100 * skill)::numeric, 1) AS skill,
    round((100 * directional_accuracy)::numeric, 1) AS right_way,
    round((100 * coverage_80)::numeric, 1) AS in_band
FROM forecast_accuracy
WHERE window_days = 90 AND day = (SELECT max(day) FROM forecast_accuracy)
ORDER BY horizon, version;
