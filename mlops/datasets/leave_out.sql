-- Delete the training rows of symbols for which a check failed.
-- Grain: the rows of one run and these symbols.
DELETE FROM ml.training_rows WHERE run_id = :run_id AND symbol_id = ANY(:symbol_ids)
