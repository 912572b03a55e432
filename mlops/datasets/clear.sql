-- Take away the training rows of a run that has ended: the version knows how to make them again.
-- Grain: the rows of one run.
DELETE FROM ml.training_rows WHERE run_id = :run_id
