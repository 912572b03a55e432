-- How many label sets dbt has built. Grain: one row.
SELECT count(*) FROM labels.catalog
