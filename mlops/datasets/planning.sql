-- Let the planner take whole tables for what they are, until the transaction ends: it takes the conditions on one row
-- for independent, expects one row of a join and loops over an index 600,000 times (9 s instead of 2 s).
-- Grain: none.
SELECT set_config('enable_nestloop', 'off', true), set_config('work_mem', '256MB', true)
