-- By what expression a job has been due, the oldest first.
-- One row per change.
SELECT
    since,
    crontab
FROM monitoring.schedules
WHERE job = :job
ORDER BY since
