-- The versions of a model with what decides their labels (major.minor.patch).
-- Grain: one row per version.
SELECT
    version.major, version.minor, version.patch, version.candidate, version.family, version.hyperparameters,
    version.label_set, version.label_set_version, version.thresholds,
    jsonb_agg(
        jsonb_build_array(input.input, input.kind, input.feature_set, input.feature_set_version, input.features)
        ORDER BY input.input
    ) AS inputs
FROM ml.versions AS version
INNER JOIN ml.version_inputs AS input USING (model, version)
WHERE version.model = :model
GROUP BY version.model, version.version
