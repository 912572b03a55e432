SELECT
    horizon,
    day,
    window_days,
    n,
    round((100 * mae)::numeric, 3) AS mae,
    round((100 * naive_mae)::numeric, 3) AS naive_mae,
    round((100 * skill)::numeric, 1) AS skill_percent,
    round((100 * directional_accuracy)::numeric, 1) AS direction_right,
    round((100 * coverage_80)::numeric, 1) AS in_80_band
FROM forecast_accuracy
WHERE window_days = 90 AND day = (SELECT max(day) FROM forecast_accuracy)
ORDER BY horizon;
