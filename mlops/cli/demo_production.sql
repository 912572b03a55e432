SELECT
    model,
    version,
    stage,
    data_from::date AS data_from,
    data_to::date AS data_to,
    left(sha256, 12) AS sha256,
    size_bytes,
    feature_set_version
FROM model_registry
WHERE stage = 'production';
