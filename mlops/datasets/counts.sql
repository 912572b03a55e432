-- How many rows of a run are in each subset.
-- Grain: one row per subset that has any.
SELECT split, count(*) AS n FROM ml.training_rows WHERE run_id = :run_id GROUP BY split
