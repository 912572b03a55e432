-- Keep why symbols were not forecast.
-- Grain: one row per symbol and horizon.
INSERT INTO ml.refusals (run_id, symbol_id, horizon, reason)
SELECT CAST(:run_id AS uuid), refused.symbol_id, h.horizon, refused.reason
FROM unnest(CAST(:symbol_ids AS bigint []), CAST(:reasons AS text [])) AS refused (symbol_id, reason)
CROSS JOIN unnest(CAST(:horizons AS integer [])) AS h (horizon)
