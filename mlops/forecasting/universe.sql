-- The symbols that a version is asked for as of :as_of. Grain: one row per symbol of the universe, in ascending order.
SELECT symbol_id FROM market.universe_at(CAST(:universe AS jsonb), :timeframe, :as_of) AS asked (symbol_id)
ORDER BY symbol_id
