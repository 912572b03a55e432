-- The id of this ingest, wanted before its row can be written: the row has the counts. One row.
SELECT nextval(pg_get_serial_sequence('market.ingests', 'id'))
