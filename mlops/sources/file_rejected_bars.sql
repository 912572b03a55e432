-- Keep the rejected rows, as the file has them where they could not be read, as they were understood otherwise (a
-- daily bar under its session, a weekly one under the first of its week). One row per rejected line.
INSERT INTO market.rejects (ingest_id, kind, file, line, reason, row, recorded_at)
SELECT
    :ingest_id,
    'bars',
    :source,
    r.line,
    r.reason,
    coalesce(
        r.row,
        jsonb_strip_nulls(jsonb_build_object(
            'symbol', y.ticker,
            'date', e.session,
            'ts', CASE WHEN e.session IS NULL THEN s.ts END,
            'open', nullif(s.open, 'NaN'),
            'high', nullif(s.high, 'NaN'),
            'low', nullif(s.low, 'NaN'),
            'close', nullif(s.close, 'NaN'),
            'volume', nullif(s.volume, 'NaN'),
            'adj_close', nullif(s.adj_close, 'NaN'),
            'known_at', nullif(s.known_at, '-infinity')
        ))
    ),
    CAST(:recorded_at AS timestamptz)
FROM rejected_lines AS r
LEFT JOIN staged_bars AS s ON s.line = r.line
LEFT JOIN staged_symbols AS y ON y.symbol_no = s.symbol_no
LEFT JOIN market.timeframes AS t ON t.timeframe = :timeframe
LEFT JOIN market.calendar AS e ON e.rule = t.session_rule AND e.exchange = y.exchange AND e.opens_at = s.ts
ORDER BY r.line
