-- Delete the training rows that a killed worker left behind.
-- Grain: the rows of all runs that have ended.
DELETE FROM ml.training_rows WHERE run_id IN (
    SELECT left_behind.run_id
    FROM (SELECT DISTINCT run_id FROM ml.training_rows) AS left_behind
    LEFT JOIN ml.runs AS run ON left_behind.run_id = run.run_id
    WHERE run.status IS DISTINCT FROM 'running'
)
