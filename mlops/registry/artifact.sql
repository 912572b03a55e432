-- The bytes of a version, and what they should be.
-- Grain: one row, none where there is no such version; `bytes` is NULL where they are gone.
SELECT component.sha256, artifact.bytes
FROM ml.components AS component
LEFT JOIN ml.artifacts AS artifact ON component.sha256 = artifact.sha256
WHERE component.model = :model AND component.version = :version AND component.format = 'onnx'
