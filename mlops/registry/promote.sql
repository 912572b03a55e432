-- Put a version into production, saying why.
-- Grain: one row, with the version that was there before, or NULL.
SELECT ml.promote(:model, :version, :reason) AS replaced
