-- The symbols that the checks :runs of :suites, pair by pair, found fault with.
-- Grain: one row per symbol.
SELECT DISTINCT at_fault.symbol_id
FROM unnest(CAST(:runs AS uuid []), CAST(:suites AS text [])) AS checked (run_id, suite)
INNER JOIN monitoring.symbols_at_fault AS at_fault USING (run_id, suite)
