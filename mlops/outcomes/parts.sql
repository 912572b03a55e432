-- The open forecasts of :as_of in parts of :at_once or little more, those of one moment never in two. One row per part,
-- the oldest first, with its first and last as_of.
WITH moments AS (
    SELECT
        as_of,
        count(*) AS n
    FROM ml.unresolved
    WHERE as_of < :as_of
    GROUP BY as_of
),

numbered AS (
    SELECT
        as_of,
        div(sum(n) OVER (ORDER BY as_of) - n, :at_once) AS part
    FROM moments
)

SELECT
    min(as_of) AS first,
    max(as_of) AS last
FROM numbered
GROUP BY part
ORDER BY part
