SELECT
    symbols.ticker,
    round((100 * drift.accuracy)::numeric, 1) AS accuracy,
    round((100 * drift.baseline_accuracy)::numeric, 1) AS baseline,
    drift.n_predictions AS n,
    drift.drift_detected,
    drift.state
FROM drift_monitoring AS drift
INNER JOIN symbols ON drift.symbol_id = symbols.id
WHERE drift.date = (SELECT max(date) FROM drift_monitoring)
ORDER BY symbols.ticker;
