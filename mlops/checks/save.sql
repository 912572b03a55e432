-- Keep what came of an expectation; checked again in the same run, the newer result stands.
-- One row per run, suite, expectation and relation.
INSERT INTO monitoring.check_results
    (run_id, suite, expectation, relation, timeframe, as_of, success, quarantined, observed, rows_at_fault, why, query)
VALUES
    (
        :run_id, :suite, :expectation, :relation, :timeframe, :as_of, :success, :quarantined, :observed, :rows_at_fault,
        :why, :query
    )
ON CONFLICT (run_id, suite, expectation, relation) DO UPDATE SET
    timeframe = excluded.timeframe,
    as_of = excluded.as_of,
    success = excluded.success,
    quarantined = excluded.quarantined,
    observed = excluded.observed,
    rows_at_fault = excluded.rows_at_fault,
    why = excluded.why,
    query = excluded.query,
    checked_at = clock_timestamp()
