-- The range in time of a run's rows: the first as_of, and when the last label is known.
-- Grain: one row.
SELECT min(as_of) AS data_from, max(label_known_at) AS data_to FROM ml.training_rows WHERE run_id = :run_id
