-- Close an attempt with its state and, where it failed, its error.
-- One row.
UPDATE monitoring.job_runs
SET
    state = :state,
    finished_at = clock_timestamp(),
    error = :error
WHERE job = :job AND subject = :subject AND as_of = :as_of AND attempt = :attempt
