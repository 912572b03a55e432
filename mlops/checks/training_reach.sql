-- What the checks of training run :run_id have to look at: its timeframe, and the first bar that it reads.
-- One row; none where there is no such run.
SELECT
    run.spec ->> 'timeframe' AS timeframe,
    (SELECT min(used.ts) FROM ml.training_rows AS used WHERE used.run_id = run.run_id) AS first_ts
FROM ml.runs AS run
WHERE run.run_id = :run_id
