-- The versions that forecast: what each takes, and until when its training looked.
-- Grain: one row per version in production or challenger, production first, older models before newer ones; of the one
-- model where :model is given.
SELECT
    s.model, s.version, s.role, s.candidate, s.timeframe, s.horizons, s.universe, s.trained_as_of, c.sha256,
    i.feature_set, i.feature_set_version
FROM ml.serving AS s
INNER JOIN ml.components AS c ON s.model = c.model AND s.version = c.version AND c.format = 'onnx'
INNER JOIN ml.version_inputs AS i ON s.model = i.model AND s.version = i.version
WHERE CAST(:model AS text) IS NULL OR s.model = :model
ORDER BY s.role DESC, s.model_created_at, s.model, s.version
