-- The versions in production and over what their specification measures drift. Grain: one row per model in production.
SELECT v.model, v.version, v.timeframe, r.spec -> 'drift' AS drift
FROM ml.aliases AS a
JOIN ml.versions AS v USING (model, version)
JOIN ml.runs AS r USING (run_id)
WHERE a.alias = 'production'
ORDER BY v.model
