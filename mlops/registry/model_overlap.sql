-- Another model that answers for a symbol of :universe at one of :horizons, with one such symbol. Models that have no
-- version yet, and those that never declared whom they are for, are not in the way.
-- Grain: one row or none.
SELECT other.model, symbol.ticker
FROM ml.models AS other
CROSS JOIN LATERAL (
    SELECT s.ticker
    FROM market.universe_at(other.universe, other.timeframe, :as_of) AS theirs (symbol_id)
    INNER JOIN market.universe_at(CAST(:universe AS jsonb), :timeframe, :as_of) AS ours (symbol_id) USING (symbol_id)
    INNER JOIN market.symbols AS s ON s.id = theirs.symbol_id
    ORDER BY s.ticker
    LIMIT 1
) AS symbol
WHERE
    other.model <> :model
    AND other.timeframe = :timeframe
    AND other.horizons && CAST(:horizons AS integer [])
    AND other.universe IS NOT NULL
    AND EXISTS (SELECT FROM ml.versions AS v WHERE v.model = other.model)
ORDER BY other.created_at
LIMIT 1
