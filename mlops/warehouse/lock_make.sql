-- Have a row for the lock :name; who makes the first one holds it until the end of the transaction.
-- One row, or none where it is there.
INSERT INTO monitoring.locks (name) VALUES (:name)
ON CONFLICT (name) DO NOTHING
