-- Which feature sets and label sets are read: by training run :run_id what its specification names, with the horizons that
-- it asks of the labels; else what the versions read, and are judged by, that forecast bars of :timeframe.
-- One row per kind and set.
WITH run AS (
    SELECT spec.document, model.target
    FROM ml.runs AS run
    INNER JOIN ml.specs AS spec ON run.spec_sha256 = spec.sha256
    INNER JOIN ml.models AS model ON run.model = model.model
    WHERE run.run_id = :run_id
),

serving AS (
    SELECT serving.model, serving.version
    FROM ml.serving AS serving
    WHERE serving.timeframe = :timeframe AND NOT EXISTS (SELECT FROM run)
)

SELECT 'feature_set' AS kind, document ->> 'feature_set' AS name, CAST(NULL AS integer []) AS horizons
FROM run
WHERE document ? 'feature_set'
UNION
SELECT
    'label_set' AS kind, target AS name,
    ARRAY(SELECT CAST(horizon AS integer) FROM jsonb_array_elements_text(document -> 'horizons') AS horizon) AS horizons
FROM run
WHERE document ? 'horizons'
UNION
SELECT 'feature_set' AS kind, input.feature_set AS name, NULL AS horizons
FROM serving
INNER JOIN ml.version_inputs AS input USING (model, version)
UNION
SELECT 'label_set' AS kind, version.label_set AS name, NULL AS horizons
FROM serving
INNER JOIN ml.versions AS version USING (model, version)
ORDER BY kind, name
