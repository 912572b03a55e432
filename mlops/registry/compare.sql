-- Versions of a model beside each other: skill on the test subset, and what came of the forecasts that all of them made.
-- Grain: one row per horizon and version, of :versions, or of all that forecast where that is NULL.
WITH chosen AS (
    SELECT
        v.version, v.candidate, v.horizons, v.metrics,
        coalesce((
            SELECT array_agg(a.alias ORDER BY a.alias) FROM ml.aliases AS a
            WHERE a.model = v.model AND a.version = v.version
        ), ARRAY[]::text[]) AS aliases
    FROM ml.versions AS v
    WHERE
        v.model = :model
        AND CASE
            WHEN CAST(:versions AS integer []) IS NULL
                THEN v.version IN (SELECT s.version FROM ml.serving AS s WHERE s.model = :model)
            ELSE v.version = ANY(CAST(:versions AS integer []))
        END
),
-- A forecast of one version is left out where another has none of the same symbol, horizon and as-of.
common AS (
    SELECT o.*, count(*) OVER (PARTITION BY o.symbol_id, o.timeframe, o.horizon, o.as_of) AS n_versions
    FROM ml.outcomes AS o
    WHERE o.model = :model AND o.version IN (SELECT version FROM chosen)
),
live AS (
    SELECT
        version, horizon, count(*) AS n,
        1 - sum(abs(error)) / nullif(sum(abs(naive_error)), 0) AS mae_skill,
        count(*) FILTER (WHERE hit) / count(*)::double precision AS accuracy,
        count(*) FILTER (WHERE covered) / count(*)::double precision AS coverage
    FROM common
    WHERE n_versions = (SELECT count(*) FROM chosen)
    GROUP BY version, horizon
)
SELECT
    h.horizon, c.version, c.candidate, c.aliases,
    CAST(c.metrics -> 'test' -> CAST(h.horizon AS text) -> 'mae' ->> 'skill' AS double precision) AS test_mae_skill,
    CAST(
        c.metrics -> 'test' -> CAST(h.horizon AS text) -> 'accuracy' ->> 'skill' AS double precision
    ) AS test_accuracy_skill,
    coalesce(live.n, 0) AS n_live, live.mae_skill AS live_mae_skill, live.accuracy AS live_accuracy,
    live.coverage AS live_coverage
FROM chosen AS c
CROSS JOIN unnest(c.horizons) AS h (horizon)
LEFT JOIN live ON live.version = c.version AND live.horizon = h.horizon
ORDER BY h.horizon, 'production' = ANY(c.aliases) DESC, c.version
