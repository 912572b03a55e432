-- Whether dbt has built the labels. Grain: one row; NULL where it has not.
SELECT to_regclass('labels.forward')
