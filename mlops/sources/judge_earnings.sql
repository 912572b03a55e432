-- Reject the rows that cannot be true, and note those that are not known yet, each for the first reason that holds. Of
-- several rows for one announcement the first that can be true is accepted. One row per rejected line.
WITH judged AS MATERIALIZED (
    SELECT
        line,
        symbol_id,
        date,
        CASE
            WHEN eps_estimate IS NULL AND eps_actual IS NULL THEN 'estimate and actual are both missing'
            WHEN abs(eps_estimate) = 'Infinity' OR abs(eps_actual) = 'Infinity' THEN 'an EPS is not finite'
            WHEN ts IS NULL OR ts > :waits_until THEN 'the release is in the future'
            WHEN ts > :now THEN CAST(:not_yet AS text)
        END AS reason
    FROM staged_earnings
),

numbered AS (
    SELECT
        line,
        reason,
        CASE WHEN reason IS NULL
            THEN first_value(line) OVER (PARTITION BY symbol_id, date, reason IS NULL ORDER BY line)
        END AS first_line
    FROM judged
)

INSERT INTO rejected_lines (line, reason)
SELECT
    line,
    coalesce(reason, 'duplicate of line ' || first_line)
FROM numbered
WHERE reason IS NOT NULL OR line > first_line
