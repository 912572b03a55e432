-- Note that a training run has begun.
-- Grain: one row, the run.
INSERT INTO ml.runs (run_id, model, as_of, status, spec_sha256)
VALUES (:run_id, :model, :as_of, 'running', :spec_sha256)
