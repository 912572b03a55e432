-- The versions in production and over what their specification measures drift. Grain: one row per model in production.
SELECT s.model, s.version, s.timeframe, s.spec -> 'drift' AS drift, i.feature_set
FROM ml.serving AS s
INNER JOIN ml.version_inputs AS i ON s.model = i.model AND s.version = i.version
WHERE s.role = 'production'
ORDER BY s.model
