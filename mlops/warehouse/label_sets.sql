-- What label sets are built. Grain: one row per label set.
SELECT label_set, relation
FROM labels.catalog
ORDER BY label_set
