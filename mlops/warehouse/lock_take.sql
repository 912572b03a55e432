-- Wait for the lock :name and hold it until the transaction ends.
-- One row.
SELECT name FROM monitoring.locks WHERE name = :name FOR UPDATE
