-- Keep a specification under the SHA-256 of its text; the same one is kept once.
-- Grain: one row, with that SHA-256.
WITH given AS (
    SELECT document, encode(sha256(convert_to(CAST(document AS text), 'UTF8')), 'hex') AS sha256
    FROM (SELECT CAST(:document AS jsonb) AS document) AS parsed
),
added AS (
    INSERT INTO ml.specs (sha256, model, candidate, document)
    SELECT sha256, :model, :candidate, document FROM given
    ON CONFLICT (sha256) DO NOTHING
)
SELECT sha256 FROM given
