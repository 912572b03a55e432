-- Keep what a version consists of.
-- Grain: one row per version, member and format.
INSERT INTO ml.components (model, version, member, format, sha256, tolerance, parity)
VALUES (:model, :version, :member, 'onnx', :sha256, :tolerance, :parity)
