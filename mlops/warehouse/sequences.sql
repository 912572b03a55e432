-- The sequences that there are. Grain: one row, their oids.
SELECT coalesce(array_agg(oid), '{}') FROM pg_class WHERE relkind = 'S'
