-- Note, once it can be written, that a run that was due could not even begin.
-- One row.
INSERT INTO monitoring.job_runs (job, as_of, attempt, state, scheduled, started_at, finished_at, error)
SELECT
    :job,
    :as_of,
    coalesce(max(attempt), 0) + 1,
    'failed',
    true,
    :started_at,
    :finished_at,
    :error
FROM monitoring.job_runs
WHERE job = :job AND as_of = :as_of
