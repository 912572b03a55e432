-- Keep the rows that corrections are about to replace. One row per corrected announcement.
INSERT INTO market.superseded_earnings (
    symbol_id, date, quarter, eps_estimate, eps_actual, release, ts, known_at, recorded_at, ingest_id, superseded_at
)
SELECT
    e.symbol_id, e.date, e.quarter, e.eps_estimate, e.eps_actual, e.release, e.ts, e.known_at, e.recorded_at,
    e.ingest_id, CAST(:recorded_at AS timestamptz)
FROM changed_lines AS c
INNER JOIN staged_earnings AS s ON s.line = c.line
INNER JOIN market.earnings AS e ON e.symbol_id = s.symbol_id AND e.date = s.date
