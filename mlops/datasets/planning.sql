-- Hash whole tables against each other, until the transaction ends. The planner takes the conditions on a row for
-- independent of each other, expects one row of a join and loops over an index 600,000 times (9 s instead of 2 s), or
-- sorts what it need not (4 s).
-- Grain: none.
SELECT
    set_config('enable_nestloop', 'off', true),
    set_config('enable_mergejoin', 'off', true),
    set_config('enable_sort', 'off', true),
    set_config('work_mem', '256MB', true)
