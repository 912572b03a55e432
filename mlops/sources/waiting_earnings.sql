-- The staged announcements that are still to come, and will soon: how many, and when all of them are known. One row.
SELECT
    count(*) AS n,
    max(s.ts) AS known_by
FROM rejected_lines AS r
INNER JOIN staged_earnings AS s ON s.line = r.line
WHERE r.reason = :not_yet
