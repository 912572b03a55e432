-- The versions in production and over what their specification measures drift. Grain: one row per model in production.
SELECT model, version, timeframe, spec -> 'drift' AS drift FROM ml.serving WHERE role = 'production' ORDER BY model
