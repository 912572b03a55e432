-- Note the ids that new symbols were given. One row per new symbol.
UPDATE staged_symbols AS y
SET symbol_id = m.id
FROM market.symbols AS m
WHERE y.symbol_id IS NULL AND m.ticker = y.ticker
