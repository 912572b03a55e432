-- The sessions, or by :rule the weeks, of an exchange whose first day is between two days, both included. One row per
-- session or week, in order.
SELECT session, opens_at, closes_at
FROM market.calendar
WHERE rule = :rule AND exchange = :exchange AND session BETWEEN :first AND :last
ORDER BY session
