-- The version that is the same already: of the same candidate, with the same bytes, trained on the same rows.
-- Grain: one row or none.
SELECT version.version
FROM ml.versions AS version
INNER JOIN ml.components AS component USING (model, version)
WHERE
    version.model = :model
    AND version.candidate = :candidate
    AND component.sha256 = :sha256
    AND component.format = 'onnx'
    AND version.data_fingerprint = :data_fingerprint
ORDER BY version.version
LIMIT 1
