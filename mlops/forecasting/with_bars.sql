-- Which of :symbol_ids have a bar of the timeframe that was known by :as_of. Grain: one row per such symbol.
SELECT asked.symbol_id
FROM unnest(CAST(:symbol_ids AS bigint [])) AS asked (symbol_id)
WHERE EXISTS (
    SELECT FROM market.bars AS b
    WHERE b.symbol_id = asked.symbol_id AND b.timeframe = :timeframe AND b.ts < :as_of AND b.known_at <= :as_of
)
