-- The sessions of an exchange between two days, both included. One row per session, in order.
SELECT session, opens_at, closes_at
FROM market.sessions
WHERE exchange = :exchange AND session BETWEEN :first AND :last
ORDER BY session
