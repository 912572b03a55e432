-- Add the symbols that the warehouse does not have, of which a bar was accepted. One row per symbol.
INSERT INTO market.symbols (ticker, asset_class, exchange, timezone, recorded_at)
SELECT
    y.ticker,
    y.asset_class,
    y.exchange,
    y.timezone,
    CAST(:recorded_at AS timestamptz)
FROM staged_symbols AS y
WHERE
    y.symbol_id IS NULL
    AND y.symbol_no IN (
        SELECT s.symbol_no
        FROM staged_bars AS s
        WHERE NOT EXISTS (SELECT FROM rejected_lines AS r WHERE r.line = s.line)
    )
ORDER BY y.symbol_no
