-- The staged bars that are not known yet and will be soon: how many, and when all of them are. One row.
SELECT
    count(*) AS n,
    max(greatest(s.known_at, s.ends_at)) AS known_by
FROM rejected_lines AS r
INNER JOIN staged_bars AS s ON s.line = r.line
WHERE r.reason = :not_yet
