-- From which day on the calendar of each exchange is needed. One row per exchange of the staged rows.
SELECT
    m.exchange,
    min(s.date) AS oldest
FROM staged_events AS s
INNER JOIN market.symbols AS m ON m.id = s.symbol_id
GROUP BY m.exchange
