-- Give the corrected announcements their new values; the time changes only where the release moved. One row each.
UPDATE market.earnings AS e
SET
    quarter = CASE WHEN :has_quarter THEN s.quarter ELSE e.quarter END,
    eps_estimate = s.eps_estimate,
    eps_actual = s.eps_actual,
    release = s.release,
    ts = CASE WHEN e.release = s.release THEN e.ts ELSE s.ts END,
    known_at = CASE WHEN e.release = s.release THEN e.known_at ELSE s.ts END,
    recorded_at = :recorded_at,
    ingest_id = :ingest_id
FROM changed_lines AS c
INNER JOIN staged_earnings AS s ON s.line = c.line
WHERE e.symbol_id = s.symbol_id AND e.date = s.date
