-- How the newest run of each job went, and how many that were due in the last 30 days were missed and not made up.
-- One row per job.
WITH newest AS (
    SELECT DISTINCT ON (job)
        job,
        as_of,
        state,
        started_at
    FROM monitoring.job_runs
    WHERE state <> 'missed'
    ORDER BY job, started_at DESC, attempt DESC
),

missed AS (
    SELECT
        due.job,
        count(DISTINCT due.as_of) AS n
    FROM monitoring.job_runs AS due
    WHERE
        due.state = 'missed'
        AND due.as_of > now() - INTERVAL '30 days'
        AND NOT EXISTS (
            SELECT 1
            FROM monitoring.job_runs AS made
            WHERE made.job = due.job AND made.as_of = due.as_of AND made.state = 'succeeded'
        )
    GROUP BY due.job
)

SELECT
    newest.job,
    newest.as_of,
    newest.state,
    newest.started_at,
    coalesce(missed.n, 0) AS missed
FROM newest
LEFT JOIN missed ON newest.job = missed.job
