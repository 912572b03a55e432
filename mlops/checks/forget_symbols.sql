-- Delete the symbols that an earlier check of the same run failed for in :suites.
-- The rows of one run and these suites.
DELETE FROM monitoring.symbols_at_fault WHERE run_id = :run_id AND suite = ANY(:suites)
