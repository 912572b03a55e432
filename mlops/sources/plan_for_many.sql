-- For files of many rows: the tables of an ingest are new to the planner, and so may be the bars of the one before, so
-- that it takes them for small and probes an index per row, which was seen to take a minute for what hashing does in
-- half a second. Ends with the transaction. One row.
SELECT
    set_config('enable_nestloop', 'off', true),
    set_config('work_mem', '256MB', true)
