-- Which staged bars the warehouse has with other values. A column that the file lacks says nothing, and neither does
-- a known_at that it does not give. One row per such line.
INSERT INTO changed_lines (line)
SELECT s.line
FROM staged_bars AS s
INNER JOIN staged_symbols AS y ON y.symbol_no = s.symbol_no
INNER JOIN market.bars AS b ON b.symbol_id = y.symbol_id AND b.timeframe = :timeframe AND b.ts = s.ts
WHERE
    b.ts BETWEEN :first AND :last
    AND (
        b.open <> s.open
        OR b.high <> s.high
        OR b.low <> s.low
        OR b.close <> s.close
        OR (:has_volume AND b.volume IS DISTINCT FROM nullif(s.volume, 'NaN'))
        OR (:has_adj_close AND b.adj_close IS DISTINCT FROM nullif(s.adj_close, 'NaN'))
        OR (s.known_at > '-infinity' AND b.known_at <> s.known_at)
    )
    AND NOT EXISTS (SELECT FROM rejected_lines AS r WHERE r.line = s.line)
