-- Everything that is known of the versions, but their bytes.
-- Grain: one row per version, the newest of each model first; of :model and :version alone where they are not NULL.
SELECT
    version.*,
    component.sha256,
    component.parity,
    component.size_bytes,
    input.feature_set_version,
    input.features,
    run.as_of,
    spec.document AS spec,
    coalesce((
        SELECT array_agg(alias.alias ORDER BY alias.alias) FROM ml.aliases AS alias
        WHERE alias.model = version.model AND alias.version = version.version
    ), ARRAY[]::text[]) AS aliases
FROM ml.versions AS version
INNER JOIN ml.runs AS run ON version.run_id = run.run_id
INNER JOIN ml.specs AS spec ON version.spec_sha256 = spec.sha256
INNER JOIN ml.version_inputs AS input ON version.model = input.model AND version.version = input.version
INNER JOIN (
    SELECT c.model, c.version, c.sha256, c.parity, artifact.size_bytes
    FROM ml.components AS c
    LEFT JOIN ml.artifacts AS artifact ON c.sha256 = artifact.sha256
    WHERE c.format = 'onnx'
) AS component ON version.model = component.model AND version.version = component.version
WHERE
    (CAST(:model AS text) IS NULL OR version.model = :model)
    AND (CAST(:version AS integer) IS NULL OR version.version = :version)
ORDER BY version.model, version.version DESC
