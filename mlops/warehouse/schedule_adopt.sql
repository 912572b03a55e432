-- Let a job be due by :crontab from :since on, where that is not what holds by then.
-- One row, none where it does.
INSERT INTO monitoring.schedules (job, since, crontab)
SELECT
    :job,
    :since,
    :crontab
WHERE
    :crontab IS DISTINCT FROM (
        SELECT crontab
        FROM monitoring.schedules
        WHERE job = :job AND since <= :since
        ORDER BY since DESC
        LIMIT 1
    )
ON CONFLICT (job, since) DO NOTHING
