-- Reject the rows that cannot be true, and note those that are not known yet, each for the first reason that holds. In
-- PostgreSQL NaN equals NaN and is above all numbers. A missing volume or adjusted close is no reason to reject a row.
-- Within the bounds on size the squares and quotients of features can be computed. One row per rejected line.
INSERT INTO rejected_lines (line, reason)
SELECT
    line,
    reason
FROM (
    SELECT
        line,
        CASE
            WHEN open = 'NaN' THEN 'open is missing'
            WHEN high = 'NaN' THEN 'high is missing'
            WHEN low = 'NaN' THEN 'low is missing'
            WHEN close = 'NaN' THEN 'close is missing'
            WHEN greatest(open, high, low, close) = 'Infinity' THEN 'a price is not finite'
            WHEN least(open, high, low, close) <= 0 THEN 'a price is not positive'
            WHEN greatest(open, high, low, close) > 1e15 THEN 'a price is above 1e15'
            WHEN least(open, high, low, close) < 1e-15 THEN 'a price is below 1e-15'
            WHEN low > high THEN 'low is above high'
            WHEN open < low OR open > high THEN 'open is outside low to high'
            WHEN close < low OR close > high THEN 'close is outside low to high'
            WHEN volume < 0 THEN 'volume is negative'
            WHEN volume = 'Infinity' THEN 'volume is not finite'
            WHEN volume > 1e18 AND volume < 'Infinity' THEN 'volume is above 1e18'
            WHEN volume > 0 AND volume < 1e-15 THEN 'volume is below 1e-15'
            WHEN adj_close <= 0 THEN 'adj_close is not positive'
            WHEN adj_close = 'Infinity' THEN 'adj_close is not finite'
            WHEN adj_close > 1e15 AND adj_close < 'Infinity' THEN 'adj_close is above 1e15'
            WHEN adj_close < 1e-15 THEN 'adj_close is below 1e-15'
            WHEN known_at > '-infinity' AND known_at < ends_at THEN 'known_at is before the end of the bar'
            WHEN greatest(known_at, ends_at) > :waits_until THEN 'the bar is in the future'
            WHEN greatest(known_at, ends_at) > :now THEN CAST(:not_yet AS text)
        END AS reason
    FROM staged_bars
) AS judged
WHERE reason IS NOT NULL
