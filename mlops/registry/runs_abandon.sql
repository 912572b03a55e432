-- Close the runs of a model whose worker is gone: the caller holds the model's lock, so nobody else is running one.
-- Grain: one row per run that was left 'running'.
UPDATE ml.runs
SET status = 'abandoned', finished_at = clock_timestamp(), error = 'The worker ended before the run did.'
WHERE model = :model AND status = 'running'
