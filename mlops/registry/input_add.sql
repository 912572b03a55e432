-- Keep what a version takes.
-- Grain: one row per version and input.
INSERT INTO ml.version_inputs (model, version, input, kind, feature_set, feature_set_version, features)
VALUES (:model, :version, :name, :kind, :feature_set, :feature_set_version, :features)
