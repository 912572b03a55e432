-- How many symbols have bars of :timeframe, known at :as_of, from :window_start on.
-- One row.
SELECT count(*) AS n
FROM market.symbols AS symbol
WHERE EXISTS (
    SELECT FROM market.bars AS bar
    WHERE
        bar.symbol_id = symbol.id
        AND bar.timeframe = :timeframe
        AND bar.ts >= :window_start
        AND bar.known_at <= :as_of
)
