-- When a release has happened at the latest: by the open of its day's session, or of the next one where there is none
-- (pre), or by the end of its day in the exchange's timezone (post). One row per staged row.
UPDATE staged_events AS s
SET
    ts = CASE s.release
        WHEN 'pre' THEN (
            SELECT e.opens_at
            FROM market.sessions AS e
            WHERE e.exchange = m.exchange AND e.session >= s.date
            ORDER BY e.session
            LIMIT 1
        )
        ELSE CAST(s.date + 1 AS timestamp) AT TIME ZONE m.timezone
    END
FROM market.symbols AS m
WHERE m.id = s.symbol_id
