-- Open the next attempt of a job for an as-of.
-- One row: the attempt's number.
INSERT INTO monitoring.job_runs (job, subject, as_of, attempt, state, scheduled)
SELECT
    :job,
    :subject,
    :as_of,
    coalesce(max(attempt), 0) + 1,
    'running',
    :scheduled
FROM monitoring.job_runs
WHERE job = :job AND subject = :subject AND as_of = :as_of
RETURNING attempt
