-- Keep what a version's realised accuracy is to be held against.
-- Grain: one row per version and horizon.
INSERT INTO ml.baselines (model, version, horizon, accuracy, train_median, majority_class)
VALUES (:model, :version, :horizon, :accuracy, :train_median, :majority_class)
