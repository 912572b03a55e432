-- Where the windows of the checks begin: the open of the 30th and of the 250th session (or week, as :calendar says)
-- before :as_of, over the exchanges that have symbols. The first known one where the calendar is shorter; :as_of where
-- there is none. One row.
WITH numbered AS (
    SELECT
        session.opens_at,
        row_number() OVER (PARTITION BY session.exchange ORDER BY session.ordinal DESC) AS nth
    FROM market.calendar AS session
    WHERE
        session.rule = :calendar
        AND session.closes_at <= :as_of
        AND session.exchange IN (SELECT symbol.exchange FROM market.symbols AS symbol)
)

SELECT
    coalesce(min(opens_at) FILTER (WHERE nth <= 30), CAST(:as_of AS timestamptz)) AS month_start,
    coalesce(min(opens_at) FILTER (WHERE nth <= 250), CAST(:as_of AS timestamptz)) AS year_start
FROM numbered
