-- Fill ml.training_rows for a run with the usable candidates, each with its subset of the split.
-- Grain: one row per symbol and bar of the timeframe. mlops/datasets/split.py says what purge and embargo are.
INSERT INTO ml.training_rows (run_id, symbol_id, timeframe, ts, as_of, label_known_at, split)
SELECT
    :run_id,
    symbol_id,
    timeframe,
    ts,
    as_of,
    label_known_at,
    CASE
        WHEN as_of < :validation_from THEN
            CASE WHEN label_known_at >= :validation_from THEN 'purged' ELSE 'train' END
        WHEN as_of < :validation_open_from THEN 'embargoed'
        WHEN as_of < :test_from THEN
            CASE WHEN label_known_at >= :test_from THEN 'purged' ELSE 'validation' END
        WHEN as_of < :test_open_from THEN 'embargoed'
        ELSE 'test'
    END
FROM pg_temp.candidates
WHERE cause IS NULL
