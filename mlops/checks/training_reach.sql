-- What the checks of training run :run_id have to look at: its timeframe, and the first bar that it reads.
-- One row; none where there is no such run.
SELECT
    model.timeframe,
    -- Symbol by symbol the first row stands in the index.
    (
        SELECT min(earliest.ts)
        FROM market.symbols AS symbol
        CROSS JOIN LATERAL (
            SELECT min(used.ts) AS ts
            FROM ml.training_rows AS used
            WHERE used.run_id = run.run_id AND used.symbol_id = symbol.id AND used.timeframe = model.timeframe
        ) AS earliest
    ) AS first_ts
FROM ml.runs AS run
INNER JOIN ml.models AS model ON run.model = model.model
WHERE run.run_id = :run_id
