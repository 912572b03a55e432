-- The number of an ingest, wanted before its row can be written since the row has the counts, and the moment at which
-- the database learns its rows. One row.
SELECT
    nextval(pg_get_serial_sequence('market.ingests', 'id')) AS ingest_id,
    clock_timestamp() AS recorded_at
