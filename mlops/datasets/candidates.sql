-- Fill the candidates for a training set as of :as_of; a row counts under the first cause that applies.
-- Grain: one row per symbol of :universe and bar of the timeframe; with :list, of the bars at whose as_of the symbol was on
-- that list of market.universes, as it was known then. `date` is the UTC day of `as_of` for daily bars, else `as_of`.
-- `label_known_at` is when the last of the labels of :horizons is known, which need not be the one that looks furthest
-- ahead: a bar can become known after its successors. Infinity: one of them is not known yet.
INSERT INTO pg_temp.candidates
SELECT
    t.symbol_id,
    t.timeframe,
    t.ts,
    t.as_of,
    CASE WHEN t.timeframe = 'd1' THEN date_trunc('day', t.as_of, 'UTC') ELSE t.as_of END,
    k.label_known_at,
    t.feature_set_version,
    greatest(t.recorded_at, l.recorded_at),
    CASE
        WHEN t.n_missing > 0 THEN 'null_feature'
        -- A bar that the market knew only after its successors: rows after it could not be used at their as_of, and its
        -- own row has labels that were known before it.
        WHEN t.known_at > t.as_of OR k.first_label_known_at <= t.as_of THEN 'known_late'
        WHEN k.label_known_at > :as_of THEN 'label_unknown'
    END
FROM features.vectors AS t
LEFT JOIN labels.forward AS l USING (symbol_id, timeframe, ts)
CROSS JOIN LATERAL (
    SELECT greatest(
        CASE WHEN 1 = ANY(CAST(:horizons AS integer [])) THEN coalesce(l.known_at_1, 'infinity') END,
        CASE WHEN 5 = ANY(CAST(:horizons AS integer [])) THEN coalesce(l.known_at_5, 'infinity') END,
        CASE WHEN 10 = ANY(CAST(:horizons AS integer [])) THEN coalesce(l.known_at_10, 'infinity') END,
        CASE WHEN 20 = ANY(CAST(:horizons AS integer [])) THEN coalesce(l.known_at_20, 'infinity') END
    ) AS label_known_at,
    least(
        CASE WHEN 1 = ANY(CAST(:horizons AS integer [])) THEN l.known_at_1 END,
        CASE WHEN 5 = ANY(CAST(:horizons AS integer [])) THEN l.known_at_5 END,
        CASE WHEN 10 = ANY(CAST(:horizons AS integer [])) THEN l.known_at_10 END,
        CASE WHEN 20 = ANY(CAST(:horizons AS integer [])) THEN l.known_at_20 END
    ) AS first_label_known_at
) AS k
WHERE
    t.feature_set = :feature_set
    AND t.timeframe = :timeframe
    AND t.as_of <= :as_of
    AND t.symbol_id IN (SELECT market.universe_at(CAST(:universe AS jsonb), :timeframe, :as_of))
    AND (
        CAST(:list AS text) IS NULL
        OR EXISTS (
            SELECT FROM market.universes AS stay
            WHERE
                stay.universe = :list
                AND stay.symbol_id = t.symbol_id
                AND stay.ts <= t.as_of
                AND stay.known_at <= t.as_of
                AND coalesce(stay.until, 'infinity') > t.as_of
        )
    )
