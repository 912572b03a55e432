-- What the symbols :ids are called. Grain: one row per symbol.
SELECT id, exchange, ticker FROM market.symbols WHERE id = ANY(:ids)
