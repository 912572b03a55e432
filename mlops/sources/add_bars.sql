-- Add the accepted bars that the warehouse does not have. One row per bar.
INSERT INTO market.bars (
    symbol_id, timeframe, ts, open, high, low, close, volume, adj_close, known_at, recorded_at, ingest_id
)
SELECT
    y.symbol_id,
    CAST(:timeframe AS text),
    s.ts,
    s.open,
    s.high,
    s.low,
    s.close,
    nullif(s.volume, 'NaN'),
    nullif(s.adj_close, 'NaN'),
    greatest(s.known_at, s.ends_at),
    CAST(:recorded_at AS timestamptz),
    CAST(:ingest_id AS bigint)
FROM staged_bars AS s
INNER JOIN staged_symbols AS y ON y.symbol_no = s.symbol_no
WHERE
    NOT EXISTS (SELECT FROM rejected_lines AS r WHERE r.line = s.line)
    AND NOT EXISTS (
        SELECT FROM market.bars AS b
        WHERE
            b.symbol_id = s.symbol_no AND b.timeframe = :timeframe AND b.ts = s.ts
            AND b.ts BETWEEN :first AND :last
    )
