-- Add the next version of a model and return its number. The caller holds the model's lock.
-- Grain: one row, the version.
INSERT INTO ml.versions (
    model, version, run_id, sha256, family, timeframe, horizons, features, feature_set_version, data_from, data_to,
    data_fingerprint, split, seed, hyperparameters, packages, code_revision, metrics, parity_max_abs_diff
)
SELECT
    :model,
    coalesce(max(version), 0) + 1,
    :run_id,
    :sha256,
    :family,
    :timeframe,
    :horizons,
    :features,
    :feature_set_version,
    :data_from,
    :data_to,
    :data_fingerprint,
    CAST(:split AS jsonb),
    :seed,
    CAST(:hyperparameters AS jsonb),
    CAST(:packages AS jsonb),
    :code_revision,
    CAST(:metrics AS jsonb),
    :parity_max_abs_diff
FROM ml.versions
WHERE model = :model
RETURNING version
