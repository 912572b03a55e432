-- How often which reason to reject occurred, the most frequent first. One row per reason.
SELECT
    regexp_replace(reason, 'of line [0-9]+', 'of an earlier line') AS reason,
    count(*) AS n
FROM rejected_lines
GROUP BY 1
ORDER BY n DESC, 1
