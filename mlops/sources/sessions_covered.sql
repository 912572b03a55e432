-- How far market.sessions reaches for an exchange, and the ordinals at its ends. One row, NULL where there is none.
SELECT
    min(session) AS first,
    max(session) AS last,
    min(ordinal) AS first_ordinal,
    max(ordinal) AS last_ordinal
FROM market.sessions
WHERE exchange = :exchange
