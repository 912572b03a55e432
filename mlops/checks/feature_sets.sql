-- Which feature sets the rows of a run are of: of training run :run_id what its specification names; else what the versions
-- read that forecast bars of :timeframe.
-- One row per feature set.
SELECT spec.document ->> 'feature_set' AS feature_set
FROM ml.runs AS run
INNER JOIN ml.specs AS spec ON run.spec_sha256 = spec.sha256
WHERE run.run_id = :run_id AND spec.document ? 'feature_set'
UNION
SELECT input.feature_set
FROM ml.serving AS serving
INNER JOIN ml.version_inputs AS input ON serving.model = input.model AND serving.version = input.version
WHERE serving.timeframe = :timeframe AND NOT EXISTS (SELECT FROM ml.runs AS run WHERE run.run_id = :run_id)
ORDER BY feature_set
