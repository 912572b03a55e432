-- What the newest daily check of :timeframe found fault with, of those made as of :as_of or before.
-- Grain: one row per expectation that failed; none where all held, or where nothing was ever checked.
SELECT suite, expectation, rows_at_fault, as_of
FROM monitoring.check_results
WHERE
    NOT success
    AND run_id = (
        SELECT run_id FROM monitoring.check_results
        WHERE suite = 'freshness' AND timeframe = :timeframe AND as_of <= :as_of
        ORDER BY as_of DESC, checked_at DESC
        LIMIT 1
    )
ORDER BY suite, expectation
