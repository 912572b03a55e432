-- Let an alias point at a version that was just registered, and say why.
-- Grain: one row, without content.
SELECT ml.place_version(:model, :version, :alias, :reason)
