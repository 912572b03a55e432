-- Everything that is known of the versions, but their bytes.
-- Grain: one row per version, the newest of each model first; of :model and :version alone where they are not NULL.
SELECT
    version.*,
    artifact.size_bytes,
    run.as_of,
    run.spec,
    coalesce((
        SELECT array_agg(alias.alias ORDER BY alias.alias) FROM ml.aliases AS alias
        WHERE alias.model = version.model AND alias.version = version.version
    ), ARRAY[]::text[]) AS aliases
FROM ml.versions AS version
INNER JOIN ml.runs AS run ON version.run_id = run.run_id
LEFT JOIN ml.artifacts AS artifact ON version.sha256 = artifact.sha256
WHERE
    (CAST(:model AS text) IS NULL OR version.model = :model)
    AND (CAST(:version AS integer) IS NULL OR version.version = :version)
ORDER BY version.model, version.version DESC
