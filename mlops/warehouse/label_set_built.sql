-- By which definition the labels of :label_set are built, and for which horizons of :timeframe: the same in all its rows.
-- Grain: one row, none where there are no labels of the timeframe.
SELECT label_set_version, horizons
FROM labels.vectors
WHERE label_set = :label_set AND timeframe = :timeframe
LIMIT 1
