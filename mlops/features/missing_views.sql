-- Those of the views :names that are missing. Grain: one row per missing view.
SELECT name
FROM unnest(CAST(:names AS text [])) AS name
WHERE to_regclass(name) IS NULL
