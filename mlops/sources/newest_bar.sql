-- When the newest bar of :timeframe is known, of those that open between :first and :last. Grain: one row, none where there
-- is no such bar.
SELECT known_at
FROM market.bars
WHERE timeframe = :timeframe AND ts BETWEEN :first AND :last
ORDER BY ts DESC
LIMIT 1
