-- Add the accepted announcements that the warehouse does not have. One row per announcement.
INSERT INTO market.earnings (
    symbol_id, date, quarter, eps_estimate, eps_actual, release, ts, known_at, recorded_at, ingest_id
)
SELECT
    s.symbol_id, s.date, s.quarter, s.eps_estimate, s.eps_actual, s.release, s.ts, s.ts,
    CAST(:recorded_at AS timestamptz), CAST(:ingest_id AS bigint)
FROM staged_earnings AS s
WHERE
    NOT EXISTS (SELECT FROM rejected_lines AS r WHERE r.line = s.line)
    AND NOT EXISTS (SELECT FROM market.earnings AS e WHERE e.symbol_id = s.symbol_id AND e.date = s.date)
