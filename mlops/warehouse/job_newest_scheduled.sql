-- The newest run, due by :now, that the schedule of a job has a row for, and whether any attempt at it has succeeded.
-- One row, none where the job was never due.
SELECT
    as_of,
    bool_or(state = 'succeeded') AS succeeded
FROM monitoring.job_runs
WHERE
    job = :job
    AND as_of = (SELECT max(as_of) FROM monitoring.job_runs WHERE job = :job AND scheduled AND as_of <= :now)
GROUP BY as_of
