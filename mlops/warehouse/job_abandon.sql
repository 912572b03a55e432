-- Close what a killed worker left open; called only by whoever holds the job's lock.
-- One row per run of the job that is still 'running'.
UPDATE monitoring.job_runs
SET
    state = 'abandoned',
    finished_at = clock_timestamp(),
    error = 'The worker ended, or lost the database, before the job was done.'
WHERE job = :job AND subject = :subject AND state = 'running'
