-- Delete the training rows of a run that has ended: they can be made again from what the version records.
-- Grain: the rows of one run.
DELETE FROM ml.training_rows WHERE run_id = :run_id
