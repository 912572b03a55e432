-- Of the views that dbt makes, which are not there? Grain: one row per missing view.
SELECT name
FROM unnest(CAST(:names AS text [])) AS name
WHERE to_regclass(name) IS NULL
