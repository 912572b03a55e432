-- Keep which symbols an expectation failed for.
-- One row per run, suite, expectation, relation and symbol.
INSERT INTO monitoring.symbols_at_fault (run_id, suite, expectation, relation, symbol_id, rows_at_fault)
VALUES (:run_id, :suite, :expectation, :relation, :symbol_id, :rows_at_fault)
