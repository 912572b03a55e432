-- Which version of each model is in production.
-- Grain: one row per model that has one; of :model alone where it is not NULL.
SELECT model, version FROM ml.serving
WHERE role = 'production' AND (CAST(:model AS text) IS NULL OR model = :model)
ORDER BY model
