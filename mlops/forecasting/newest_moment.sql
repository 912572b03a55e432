-- The as_of of the newest feature row of :timeframe, in any feature set, at or before :as_of. Grain: one row, NULL
-- where there is none.
SELECT max(as_of) FROM features.vectors WHERE timeframe = :timeframe AND as_of <= :as_of
