-- Compare the staged bars with the bars of the warehouse, and note which of them have other values there. A column that
-- the file lacks is not compared, and neither is a known_at that the file does not give. One row: how many staged bars
-- are in the warehouse already, and how many of them differ.
WITH compared AS MATERIALIZED (
    SELECT
        s.line,
        b.open <> s.open
        OR b.high <> s.high
        OR b.low <> s.low
        OR b.close <> s.close
        OR (:has_volume AND b.volume IS DISTINCT FROM nullif(s.volume, 'NaN'))
        OR (:has_adj_close AND b.adj_close IS DISTINCT FROM nullif(s.adj_close, 'NaN'))
        OR (s.known_at > '-infinity' AND b.known_at <> s.known_at) AS differs
    FROM staged_bars AS s
    INNER JOIN market.bars AS b ON b.symbol_id = s.symbol_no AND b.timeframe = :timeframe AND b.ts = s.ts
    WHERE
        b.ts BETWEEN :first AND :last
        AND NOT EXISTS (SELECT FROM rejected_lines AS r WHERE r.line = s.line)
),

noted AS (
    INSERT INTO changed_lines (line) SELECT line FROM compared WHERE differs
)

SELECT
    count(*) AS n_present,
    count(*) FILTER (WHERE differs) AS n_changed
FROM compared
