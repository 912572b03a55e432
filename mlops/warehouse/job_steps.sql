-- What was run for :as_of from :since on, each with its newest attempt. Grain: one row per job and subject, in their order.
SELECT job, subject, state, seconds
FROM (
    SELECT DISTINCT ON (job, subject)
        job, subject, state, started_at,
        CAST(extract(EPOCH FROM finished_at - started_at) AS double precision) AS seconds
    FROM monitoring.job_runs
    WHERE as_of = :as_of AND started_at >= :since
    ORDER BY job ASC, subject ASC, attempt DESC
) AS newest
ORDER BY started_at
