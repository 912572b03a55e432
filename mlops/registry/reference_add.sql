-- Keep how a feature, or a prediction, was distributed when the version was trained.
-- Grain: one row per version and feature.
INSERT INTO ml.references (model, version, feature, edges, counts)
VALUES (:model, :version, :feature, :edges, :counts)
