-- What features there are. Grain: one row per feature set and feature, in the order of features.vectors.
SELECT feature_set, version, relation, bars_before_first_row, feature, above, at_least, at_most, why
FROM features.catalog
ORDER BY feature_set, position
