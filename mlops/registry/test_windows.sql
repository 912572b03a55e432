-- How often the test window has been looked at before: versions of the model whose test subset shares a date with it, of
-- those before :before where it is not NULL.
-- Grain: one row.
SELECT count(*) FROM ml.versions
WHERE
    model = :model
    AND (CAST(:before AS integer) IS NULL OR version < :before)
    AND CAST(split ->> 'test_open_from' AS timestamptz) <= :test_to
    AND CAST(split ->> 'test_to' AS timestamptz) >= :test_open_from
