-- Note how a training run has ended; one that has ended already stays as it is.
-- Grain: one row, the run.
UPDATE ml.runs
SET
    status = :status,
    finished_at = clock_timestamp(),
    n_train = :n_train,
    n_validation = :n_validation,
    n_test = :n_test,
    n_excluded = :n_excluded,
    metrics = CAST(:metrics AS jsonb),
    error = :error
WHERE run_id = :run_id AND status = 'running'
