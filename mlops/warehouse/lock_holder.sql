-- Who holds the lock :name: the transaction that the row names as its last locker, if it is still going on.
-- One row, none where it has just ended.
SELECT
    activity.pid,
    activity.usename AS login,
    coalesce(to_char(activity.xact_start, 'YYYY-MM-DD HH24:MI:SS TZ'), 'an unknown time') AS since
FROM monitoring.locks AS lock
INNER JOIN pg_catalog.pg_locks AS held
    ON held.locktype = 'transactionid' AND held.transactionid = lock.xmax AND held.granted
INNER JOIN pg_catalog.pg_stat_activity AS activity USING (pid)
WHERE lock.name = :name
