-- Keep the bars that corrections are about to replace. One row per corrected bar.
INSERT INTO market.superseded_bars (
    symbol_id, timeframe, ts, open, high, low, close, volume, adj_close, known_at, recorded_at, ingest_id, superseded_at
)
SELECT
    b.symbol_id, b.timeframe, b.ts, b.open, b.high, b.low, b.close, b.volume, b.adj_close, b.known_at, b.recorded_at,
    b.ingest_id, CAST(:recorded_at AS timestamptz)
FROM changed_lines AS c
INNER JOIN staged_bars AS s ON s.line = c.line
INNER JOIN market.bars AS b ON b.symbol_id = s.symbol_no AND b.timeframe = :timeframe AND b.ts = s.ts
WHERE b.ts BETWEEN :first AND :last
