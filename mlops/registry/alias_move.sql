-- Let an alias point at a version, and say why; triggers note from where, and move it.
-- Grain: one row, the move.
INSERT INTO ml.alias_moves (model, alias, to_version, reason) VALUES (:model, :alias, :version, :reason)
