-- The version that says the same already: the same bytes, trained on the same rows.
-- Grain: one row or none.
SELECT version FROM ml.versions
WHERE model = :model AND sha256 = :sha256 AND data_fingerprint = :data_fingerprint
ORDER BY version
LIMIT 1
