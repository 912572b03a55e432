-- Give the corrected bars their new values. A column that the file lacks stays, and so does known_at unless the file
-- gives one: that a number was corrected later does not change when the market knew the bar. One row per corrected bar.
UPDATE market.bars AS b
SET
    open = s.open,
    high = s.high,
    low = s.low,
    close = s.close,
    volume = CASE WHEN :has_volume THEN nullif(s.volume, 'NaN') ELSE b.volume END,
    adj_close = CASE WHEN :has_adj_close THEN nullif(s.adj_close, 'NaN') ELSE b.adj_close END,
    known_at = CASE WHEN s.known_at > '-infinity' THEN s.known_at ELSE b.known_at END,
    recorded_at = :recorded_at,
    ingest_id = :ingest_id
FROM changed_lines AS c
INNER JOIN staged_bars AS s ON s.line = c.line
WHERE b.symbol_id = s.symbol_no AND b.timeframe = :timeframe AND b.ts = s.ts AND b.ts BETWEEN :first AND :last
