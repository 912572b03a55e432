-- Let the planner use hash joins only, until the transaction ends. It assumes that the conditions on a row are
-- independent of each other, expects one row of a join, and loops over an index 600,000 times (9 s instead of 2 s) or
-- sorts without need (4 s).
-- Grain: none.
SELECT
    set_config('enable_nestloop', 'off', true),
    set_config('enable_mergejoin', 'off', true),
    set_config('enable_sort', 'off', true),
    set_config('work_mem', '256MB', true)
