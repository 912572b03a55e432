-- What the checks of training run :run_id have to look at: its timeframe, and the first bar that it reads.
-- One row; none where there is no such run.
SELECT
    model.timeframe,
    (SELECT min(used.ts) FROM ml.training_rows AS used WHERE used.run_id = run.run_id) AS first_ts
FROM ml.runs AS run
INNER JOIN ml.models AS model ON run.model = model.model
WHERE run.run_id = :run_id
