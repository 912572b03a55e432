-- Note the staged rows that the warehouse has with other values; quarters are compared only where the file has them.
-- One row per such line.
INSERT INTO changed_lines (line)
SELECT s.line
FROM staged_earnings AS s
INNER JOIN market.earnings AS e ON e.symbol_id = s.symbol_id AND e.date = s.date
WHERE
    (
        e.eps_estimate IS DISTINCT FROM s.eps_estimate
        OR e.eps_actual IS DISTINCT FROM s.eps_actual
        OR e.release <> s.release
        OR (:has_quarter AND e.quarter IS DISTINCT FROM s.quarter)
    )
    AND NOT EXISTS (SELECT FROM rejected_lines AS r WHERE r.line = s.line)
