-- Population stability index of one version's features and predictions over the window that ends at :as_of, into
-- monitoring.feature_drift. Grain, of the result as of what is written: one row per reference and day.
--
--   PSI = sum over bins of (a - e) ln(a / e)
--
-- a: share of the current values in the bin, e: share of the reference's; a share of less than :smallest_share, an
-- empty bin above all, counts as :smallest_share, since the logarithm of zero is not defined. Bins are those of the
-- reference, quantiles of the training rows: bin i holds edges[i-1] <= x < edges[i], which is what width_bucket counts.
-- NULLs are in no bin. Values are rounded to float32 first, as they were for training, so that a value that repeats
-- equals its edge exactly. (Values beyond the range of float32 are not rounded, since the cast would fail.) Without any
-- shift PSI is (bins - 1)(1 / n_current + 1 / n_reference) on average, like a chi-square of bins - 1 degrees of freedom
-- (Yurdakul 2018). Where that alone reaches the first threshold, there are too few rows and no state is given.
--
-- The rows of a symbol are collected into one array, of which each feature's values are cut out and counted by
-- themselves: that needs neither a sort nor a comparison of names per value. Ten days below the window on `ts` are more
-- than lies between the open of a bar and when it is known; they only leave chunks out.
-- The catalogue first, as whoever changes both does: two that go the other way round would wait for each other.
WITH placed AS MATERIALIZED (
    SELECT feature, position FROM features.catalog WHERE feature_set = :feature_set
),
collected AS MATERIALIZED (
    SELECT array_agg(features) AS features
    FROM features.vectors
    -- complete rows, as the reference has none else and none else is forecast
    WHERE feature_set = :feature_set AND n_missing = 0
      AND timeframe = :timeframe AND as_of > :window_from AND as_of <= :as_of AND known_at <= :as_of
      AND ts > CAST(:window_from AS timestamptz) - INTERVAL '10 days' AND ts < :as_of
    GROUP BY symbol_id
),
predicted AS MATERIALIZED (
    SELECT 'p50_h' || horizon AS feature, array_agg(p50) AS p50
    FROM ml.predictions
    WHERE model = :model AND version = :version AND timeframe = :timeframe
      AND as_of > :window_from AND as_of <= :as_of
    GROUP BY horizon
),
counted AS MATERIALIZED (
    SELECT r.feature, b.bin, b.n
    FROM ml.references AS r
    LEFT JOIN placed AS c ON c.feature = r.feature
    CROSS JOIN LATERAL (
        SELECT
            width_bucket(CASE WHEN abs(x) BETWEEN 1e-37 AND 1e38 THEN x::real::float8 ELSE x END, r.edges) AS bin,
            count(*) AS n
        FROM (
            SELECT unnest(collected.features[:][c.position:c.position]) AS x FROM collected
            UNION ALL
            SELECT unnest(p50) FROM predicted WHERE predicted.feature = r.feature
        ) AS current
        WHERE x IS NOT NULL
        GROUP BY bin
    ) AS b
    WHERE r.model = :model AND r.version = :version
),
bins AS (
    SELECT
        r.feature, b.place - 1 AS bin, b.n_reference, coalesce(c.n, 0) AS n_current,
        sum(b.n_reference) OVER feature AS total_reference, coalesce(sum(c.n) OVER feature, 0) AS total_current,
        count(*) OVER feature AS n_bins
    FROM ml.references AS r
    CROSS JOIN unnest(r.counts) WITH ORDINALITY AS b (n_reference, place)
    LEFT JOIN counted AS c ON c.feature = r.feature AND c.bin = b.place - 1
    WHERE r.model = :model AND r.version = :version
    WINDOW feature AS (PARTITION BY r.feature)
),
shares AS (
    SELECT
        *,
        greatest(n_reference / nullif(total_reference, 0)::float8, :smallest_share) AS expected,
        greatest(n_current / nullif(total_current, 0)::float8, :smallest_share) AS actual
    FROM bins
),
indexes AS (
    SELECT
        feature,
        total_reference::bigint AS n_reference,
        total_current::bigint AS n_current,
        CASE WHEN total_reference > 0 AND total_current > 0
            THEN sum((actual - expected) * ln(actual / expected) ORDER BY bin) END AS psi,
        CASE WHEN total_reference > 0 AND total_current > 0
            THEN (n_bins - 1) * (1 / total_current::float8 + 1 / total_reference::float8) END AS noise
    FROM shares
    GROUP BY feature, total_reference, total_current, n_bins
),
measured AS MATERIALIZED (
    SELECT
        feature, psi, n_reference, n_current,
        CASE
            WHEN psi IS NULL OR n_current < :minimum OR noise >= :monitor_from THEN 'insufficient'
            WHEN psi > :alert_above THEN 'alert'
            WHEN psi >= :monitor_from THEN 'monitor'
            ELSE 'normal'
        END AS state
    FROM indexes
),
kept AS (
    INSERT INTO monitoring.feature_drift AS d (model, version, feature, day, psi, n_reference, n_current, state)
    SELECT :model, :version, feature, :day, psi, n_reference, n_current, state FROM measured ORDER BY feature
    ON CONFLICT (model, version, feature, day) DO UPDATE
    SET psi = EXCLUDED.psi, n_reference = EXCLUDED.n_reference, n_current = EXCLUDED.n_current,
        state = EXCLUDED.state, measured_at = clock_timestamp()
    WHERE (d.psi, d.n_reference, d.n_current, d.state)
        IS DISTINCT FROM (EXCLUDED.psi, EXCLUDED.n_reference, EXCLUDED.n_current, EXCLUDED.state)
)
SELECT feature, psi, n_reference, n_current, state FROM measured ORDER BY feature
