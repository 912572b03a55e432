-- Whether a job has already done its work for an as-of.
-- One row.
SELECT EXISTS (
    SELECT 1
    FROM monitoring.job_runs
    WHERE job = :job AND subject = :subject AND as_of = :as_of AND state = 'succeeded'
) AS has_succeeded
