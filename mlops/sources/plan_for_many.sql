-- Plan for a file of many rows, until the transaction ends. The planner has no statistics yet of the tables of an
-- ingest, takes them for small and probes an index for each row: that took a minute, and hashing takes half a second.
-- One row.
SELECT
    set_config('enable_nestloop', 'off', true),
    set_config('work_mem', '256MB', true)
