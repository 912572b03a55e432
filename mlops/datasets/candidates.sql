-- Fill the candidates for a training set as of :as_of; a row counts under the first cause that applies.
-- Grain: one row per symbol of :universe and bar of the timeframe. With :list, only the bars at whose as_of the symbol
-- was known to be on that list of market.universes.
-- `date` is the UTC day (week) of `as_of` for bars of a session (week), as :date_unit says, else `as_of`.
-- `label_known_at` is when the last of the labels at :places of the label set is known. This need not be the label that
-- looks furthest ahead, since a bar can become known after its successors. Infinity: one of them is not known yet.
INSERT INTO pg_temp.candidates
SELECT
    t.symbol_id,
    t.timeframe,
    t.ts,
    t.as_of,
    coalesce(date_trunc(CAST(:date_unit AS text), t.as_of, 'UTC'), t.as_of),
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
LEFT JOIN labels.vectors AS l
    ON t.symbol_id = l.symbol_id AND t.timeframe = l.timeframe AND t.ts = l.ts AND l.label_set = :label_set
CROSS JOIN LATERAL (
    SELECT
        max(coalesce(l.known_ats[place], 'infinity')) AS label_known_at,
        min(l.known_ats[place]) AS first_label_known_at
    FROM unnest(CAST(:places AS integer [])) AS place
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
