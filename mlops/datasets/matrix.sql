-- Features, labels and subset of the rows that a run trains and is judged on, packed for `mlops.warehouse.reading`.
-- Grain: one row per symbol, each field an array over the symbol's bars, all in one order; the returns are
-- those of all horizons of the label set.
-- Only rows as they were when the run began. One that was rewritten since is missing here, and the reader raises.
-- (A build reads bars in the order in which they were recorded, so the rows that it rewrites have a newer recorded_at.)
SELECT
    array_agg(r.symbol_id),
    array_agg(r.as_of),
    array_agg(CAST(CASE r.split WHEN 'train' THEN 0 WHEN 'validation' THEN 1 ELSE 2 END AS smallint)),
    array_agg(t.features),
    -- A horizon that the model leaves out may lie beyond what is known: NaN, which the reader refuses elsewhere.
    array_agg(array_replace(l.forward_returns, NULL, 'NaN'))
FROM ml.training_rows AS r
INNER JOIN features.vectors AS t USING (symbol_id, timeframe, ts)
INNER JOIN labels.vectors AS l USING (symbol_id, timeframe, ts)
WHERE
    r.run_id = :run_id
    AND r.split IN ('train', 'validation', 'test')
    AND t.feature_set = :feature_set
    AND t.feature_set_version = :feature_set_version
    AND t.recorded_at <= :recorded_until
    AND l.label_set = :label_set
    AND l.label_set_version = :label_set_version
    AND l.recorded_at <= :recorded_until
GROUP BY r.symbol_id
