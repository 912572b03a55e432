-- Put the version into production that was there before the present one, saying why.
-- Grain: one row, with that version.
SELECT ml.rollback(:model, :reason) AS version
