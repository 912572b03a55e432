-- Add the next version of a model and return its number. The caller holds the model's lock.
-- Grain: one row, the version.
INSERT INTO ml.versions (
    model, version, run_id, candidate, spec_sha256, major, minor, patch, family, timeframe, horizons, n_symbols,
    label_set, label_set_version, thresholds,
    data_from, data_to, data_fingerprint, split, seed, hyperparameters, packages, code_revision, metrics
)
SELECT
    :model,
    coalesce(max(version), 0) + 1,
    :run_id,
    :candidate,
    (SELECT spec_sha256 FROM ml.runs WHERE run_id = :run_id),
    :major,
    :minor,
    :patch,
    :family,
    :timeframe,
    :horizons,
    :n_symbols,
    :label_set,
    :label_set_version,
    CAST(:thresholds AS double precision []),
    :data_from,
    :data_to,
    :data_fingerprint,
    CAST(:split AS jsonb),
    :seed,
    CAST(:hyperparameters AS jsonb),
    CAST(:packages AS jsonb),
    :code_revision,
    CAST(:metrics AS jsonb)
FROM ml.versions
WHERE model = :model
RETURNING version
