-- What is open of the forecasts made by :as_of. Grain: one row. Overdue: by the calendar the horizon has passed, and there
-- is no label: bars are missing, or the labels were not built since they came.
SELECT count(*) AS waiting, count(*) FILTER (WHERE target_ts <= :as_of) AS overdue
FROM ml.unresolved
WHERE as_of <= :as_of
