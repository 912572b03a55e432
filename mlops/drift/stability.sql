-- Population stability index of one version's features and predictions over the window that ends at :as_of, into
-- monitoring.feature_drift. Grain, of the result as of what is written: one row per reference and day.
--
--   PSI = sum over bins of (a - e) ln(a / e)
--
-- a: share of the current values in the bin, e: share of the reference's; a share of less than :smallest_share, an empty
-- bin above all, counts as :smallest_share, for the logarithm has no answer to zero. Bins are those of the reference,
-- quantiles of the training rows: bin i holds edges[i-1] <= x < edges[i], which is what width_bucket counts. NULLs are
-- in no bin. Without any shift PSI would be (bins - 1)(1 / n_current + 1 / n_reference) on average, as a chi-square of
-- bins - 1 degrees of freedom is (Yurdakul 2018): where that alone comes up to the first threshold, no verdict.
--
-- Ten days below the window on `ts` are more than lies between the open of a bar and when it is known; they only leave
-- chunks out.
WITH current AS MATERIALIZED (
    SELECT v.feature, width_bucket(v.x, r.edges) AS bin, count(*) AS n
    FROM features.technical AS f
    CROSS JOIN LATERAL (VALUES
        ('return_1', f.return_1), ('return_5', f.return_5), ('return_10', f.return_10), ('return_20', f.return_20),
        ('volatility_10', f.volatility_10), ('volatility_20', f.volatility_20),
        ('sma_ratio_5', f.sma_ratio_5), ('sma_ratio_20', f.sma_ratio_20), ('sma_ratio_50', f.sma_ratio_50),
        ('ema_ratio_12', f.ema_ratio_12), ('ema_ratio_26', f.ema_ratio_26), ('macd_hist', f.macd_hist),
        ('rsi_14', f.rsi_14), ('bollinger_b_20', f.bollinger_b_20), ('atr_14', f.atr_14),
        ('volume_zscore_20', f.volume_zscore_20), ('volume_ratio_5_20', f.volume_ratio_5_20),
        ('range_1', f.range_1), ('gap_1', f.gap_1), ('stochastic_k_14', f.stochastic_k_14)
    ) AS v (feature, x)
    JOIN ml.references AS r ON r.model = :model AND r.version = :version AND r.feature = v.feature
    WHERE f.timeframe = :timeframe AND f.as_of > :window_from AND f.as_of <= :as_of AND f.known_at <= :as_of
      AND f.ts > CAST(:window_from AS timestamptz) - INTERVAL '10 days' AND f.ts < :as_of
      AND v.x IS NOT NULL
    GROUP BY v.feature, bin
    UNION ALL
    SELECT r.feature, width_bucket(p.p50, r.edges) AS bin, count(*) AS n
    FROM ml.predictions AS p
    JOIN ml.references AS r ON r.model = p.model AND r.version = p.version AND r.feature = 'p50_h' || p.horizon
    WHERE p.model = :model AND p.version = :version AND p.timeframe = :timeframe
      AND p.as_of > :window_from AND p.as_of <= :as_of
    GROUP BY r.feature, bin
),
bins AS (
    SELECT
        r.feature, b.place - 1 AS bin, b.n_reference, coalesce(c.n, 0) AS n_current,
        sum(b.n_reference) OVER feature AS total_reference, coalesce(sum(c.n) OVER feature, 0) AS total_current,
        count(*) OVER feature AS n_bins
    FROM ml.references AS r
    CROSS JOIN unnest(r.counts) WITH ORDINALITY AS b (n_reference, place)
    LEFT JOIN current AS c ON c.feature = r.feature AND c.bin = b.place - 1
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
