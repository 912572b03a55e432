-- What the newest check of each of :suites found in bars of :timeframe, of those made as of :as_of or before. Checks of a
-- training set are left out: they look at other rows, and belong to their training run.
-- An expectation that failed only for symbols that are quarantined is not returned, but at_fault has
-- the symbols of every expectation that failed.
-- Grain: one row per suite and expectation that failed; one with no expectation for a suite of which all held, and one
-- with no as_of either for a suite that was never checked. In the order of :suites.
SELECT
    wanted.suite, newest.as_of, newest.checked_at, failure.expectation, failure.observed,
    ARRAY(
        SELECT symbol_id FROM monitoring.symbols_at_fault
        WHERE run_id = newest.run_id AND suite = wanted.suite
    ) AS at_fault
FROM unnest(CAST(:suites AS text [])) WITH ORDINALITY AS wanted (suite, place)
LEFT JOIN LATERAL (
    SELECT checked.run_id, checked.as_of, checked.checked_at
    FROM monitoring.check_results AS checked
    WHERE
        checked.timeframe = :timeframe
        AND checked.suite = wanted.suite
        AND checked.as_of <= :as_of
        AND NOT EXISTS (SELECT FROM ml.runs AS training WHERE training.run_id = checked.run_id)
    ORDER BY checked.as_of DESC, checked.checked_at DESC
    LIMIT 1
) AS newest ON true
LEFT JOIN monitoring.check_results AS failure
    ON failure.run_id = newest.run_id AND failure.suite = wanted.suite AND NOT (failure.success OR failure.quarantined)
ORDER BY wanted.place, failure.expectation
