-- Whether a version of the model was ever in production, and whether the candidate has an earlier version.
-- Grain: one row.
SELECT
    EXISTS (SELECT FROM ml.alias_moves WHERE model = :model AND alias = 'production') AS had_production,
    EXISTS (
        SELECT FROM ml.versions WHERE model = :model AND candidate = :candidate AND version < :version
    ) AS has_earlier
