-- Keep the bytes of a model under their SHA-256; the same bytes are kept once.
-- Grain: one row, the content.
INSERT INTO ml.artifacts (sha256, format, bytes) VALUES (:sha256, 'onnx', :bytes)
ON CONFLICT (sha256) DO NOTHING
