-- The versions that the alias `production` points at: what each takes, and until when its training looked.
-- Grain: one row per model in production; of the one model where :model is given.
SELECT v.model, v.version, v.sha256, v.timeframe, v.horizons, v.feature_set_version, r.as_of AS trained_as_of
FROM ml.aliases AS a
JOIN ml.versions AS v USING (model, version)
JOIN ml.runs AS r USING (run_id)
WHERE a.alias = 'production' AND (CAST(:model AS text) IS NULL OR v.model = :model)
ORDER BY v.model
