-- Keep the rejected rows, as the file has them where they could not be read, as they were understood otherwise. One row
-- per rejected line.
INSERT INTO market.rejects (ingest_id, kind, file, line, reason, row, recorded_at)
SELECT
    :ingest_id,
    'earnings',
    :source,
    r.line,
    r.reason,
    coalesce(
        r.row,
        jsonb_strip_nulls(jsonb_build_object(
            'symbol', s.ticker,
            'date', s.date,
            'quarter', s.quarter,
            'eps_estimate', s.eps_estimate,
            'eps_actual', s.eps_actual,
            'release', s.release
        ))
    ),
    CAST(:recorded_at AS timestamptz)
FROM rejected_lines AS r
LEFT JOIN staged_earnings AS s ON s.line = r.line
ORDER BY r.line
