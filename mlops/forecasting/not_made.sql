-- Store the run of a version that made no forecast, with the error.
-- Grain: one row, the run.
INSERT INTO ml.forecast_runs (run_id, model, version, role, as_of, status, seconds, n_refused, error)
VALUES (:run_id, :model, :version, :role, :as_of, :status, :seconds, :n_refused, :error)
