-- What there is to forecast from as of :as_of, and when each horizon ends by the trading calendar.
-- Grain: one row per symbol of :symbol_ids that has a row of :feature_set known by then: its newest one.
--
-- sessions_behind: sessions (of weekly bars, weeks: as :calendar says) of its exchange that closed by :as_of and after the
-- session of the bar.
-- targets: for each of :horizons, in their order, the close of the bar that many bars ahead; NULL where the calendar
-- does not reach so far. Bars of the timeframe are laid out from the open of each session, shifted as the bar at hand
-- is from the open of its own, and the last one ends with the session. So an intraday horizon crosses the night as the
-- market does, and a daily bar, one a session, is the special case that ends with the session that is h ahead. To a weekly
-- bar its week is what a session is to a daily one.
WITH newest AS MATERIALIZED (
    SELECT
        s.id AS symbol_id, s.exchange, f.ts, f.known_at, f.feature_set_version, f.features
    FROM market.symbols AS s
    CROSS JOIN LATERAL (
        SELECT * FROM features.vectors AS t
        WHERE t.feature_set = :feature_set AND t.symbol_id = s.id AND t.timeframe = :timeframe
          AND t.ts < :as_of AND t.as_of <= :as_of AND t.known_at <= :as_of
        ORDER BY t.ts DESC
        LIMIT 1
    ) AS f
    WHERE s.id = ANY(CAST(:symbol_ids AS bigint []))
),
-- Most symbols share their newest bar, so the calendar is asked once per exchange and bar.
placed AS (
    SELECT
        b.exchange, b.ts, own.ordinal,
        -- how many bars the session of the bar had before it, and how far the bars are shifted from the open
        floor(extract(epoch FROM b.ts - own.opens_at) / bar.seconds)::integer AS position,
        mod(extract(epoch FROM b.ts - own.opens_at), bar.seconds) AS shift,
        bar.seconds
    FROM (SELECT DISTINCT exchange, ts FROM newest) AS b
    CROSS JOIN (SELECT extract(epoch FROM CAST(:bar_length AS interval)) AS seconds) AS bar
    CROSS JOIN LATERAL (
        SELECT ordinal, opens_at FROM market.calendar
        WHERE rule = :calendar AND exchange = b.exchange AND opens_at <= b.ts
        ORDER BY ordinal DESC
        LIMIT 1
    ) AS own
),
sessions_ahead AS (
    SELECT
        p.exchange, p.ts, p.position, p.shift, p.seconds, s.ordinal, s.opens_at, s.closes_at, n.bars,
        sum(n.bars) OVER (PARTITION BY p.exchange, p.ts ORDER BY s.ordinal) - n.bars AS bars_before
    FROM placed AS p
    JOIN market.calendar AS s
        ON s.rule = :calendar AND s.exchange = p.exchange
        AND s.ordinal BETWEEN p.ordinal AND p.ordinal + (SELECT max(h) FROM unnest(CAST(:horizons AS integer[])) AS h)
    CROSS JOIN LATERAL (
        -- A session has at least the one bar: of the session at hand, the bar is proof of it.
        SELECT greatest(
            ceil((extract(epoch FROM s.closes_at - s.opens_at) - p.shift) / p.seconds),
            CASE WHEN s.ordinal = p.ordinal THEN p.position + 1 ELSE 1 END
        )::integer AS bars
    ) AS n
),
targets AS (
    SELECT
        p.exchange, p.ts,
        array_agg(
            least(
                a.opens_at
                + make_interval(secs => (a.shift + (p.position + h.bars - a.bars_before + 1) * a.seconds)::float8),
                a.closes_at
            )
            ORDER BY h.place
        ) AS targets
    FROM placed AS p
    CROSS JOIN unnest(CAST(:horizons AS integer[])) WITH ORDINALITY AS h (bars, place)
    LEFT JOIN sessions_ahead AS a
        ON a.exchange = p.exchange AND a.ts = p.ts
        AND p.position + h.bars >= a.bars_before AND p.position + h.bars < a.bars_before + a.bars
    GROUP BY p.exchange, p.ts
),
behind AS (
    SELECT p.exchange, p.ts, count(s.session) AS sessions_behind
    FROM placed AS p
    LEFT JOIN market.calendar AS s
        ON s.rule = :calendar AND s.exchange = p.exchange AND s.ordinal > p.ordinal AND s.closes_at <= :as_of
    GROUP BY p.exchange, p.ts
)
SELECT newest.*, behind.sessions_behind, targets.targets
FROM newest
LEFT JOIN behind USING (exchange, ts)
LEFT JOIN targets USING (exchange, ts)
ORDER BY newest.symbol_id
