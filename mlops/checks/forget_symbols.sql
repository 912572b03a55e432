-- Take away the symbols that an earlier check of the same run found fault with in the suite.
-- The rows of one run and suite.
DELETE FROM monitoring.symbols_at_fault WHERE run_id = :run_id AND suite = :suite
