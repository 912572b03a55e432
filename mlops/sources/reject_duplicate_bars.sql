-- Of several rows of a file for one bar the first that can be true stands. One row per line that repeats it.
INSERT INTO rejected_lines (line, reason)
SELECT
    line,
    'duplicate of line ' || first_line
FROM (
    SELECT
        s.line,
        first_value(s.line) OVER (PARTITION BY s.symbol_no, s.ts ORDER BY s.line) AS first_line
    FROM staged_bars AS s
    WHERE NOT EXISTS (SELECT FROM rejected_lines AS r WHERE r.line = s.line)
) AS numbered
WHERE line > first_line
