-- Whether training used rows from after :as_of: whether a feature row is known after it and up to :trained_as_of.
-- Grain: one row. `ts` lies before `known_at`, so the bound on ts only leaves chunks out; ten days are more than a
-- bar and any gap between sessions that falls into it.
SELECT EXISTS (
    SELECT FROM features.vectors
    WHERE feature_set = :feature_set AND timeframe = :timeframe
      AND ts > CAST(:as_of AS timestamptz) - INTERVAL '10 days' AND ts <= :trained_as_of
      AND known_at > :as_of AND known_at <= :trained_as_of
)
