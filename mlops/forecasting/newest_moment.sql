-- As of when the newest feature row of :timeframe is, of any feature set, of those as of :as_of or before. Grain: one row, NULL where there
-- is none.
SELECT max(as_of) FROM features.vectors WHERE timeframe = :timeframe AND as_of <= :as_of
