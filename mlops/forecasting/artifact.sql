-- The bytes of one model. Grain: one row, none where the artifact is gone.
SELECT bytes FROM ml.artifacts WHERE sha256 = :sha256
