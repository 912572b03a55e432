-- The bytes of a version, and what they should be.
-- Grain: one row, none where there is no such version; `bytes` is NULL where they are gone.
SELECT version.sha256, artifact.bytes
FROM ml.versions AS version
LEFT JOIN ml.artifacts AS artifact ON version.sha256 = artifact.sha256
WHERE version.model = :model AND version.version = :version
