-- The averages that depend on all bars before: design.md's EMAs and Wilder's averages, in one pass over a series.
-- One transition for all six costs a quarter of six; plpgsql, since a SQL function is 1.5 times slower and the closed
-- form with powers overflows. No SET search_path: it would cost more than the arithmetic, and every name here is qualified
-- or PostgreSQL's own, whatever the caller's path.
SET LOCAL ROLE forecastle_owner;

-- State: {EMA12, EMA26, EMA9 of MACD, average gain, average loss, average true range}.
CREATE OR REPLACE FUNCTION features.advance_recursive_averages(
    state double precision [],
    close double precision,
    high double precision,
    low double precision,
    close_1 double precision,
    seed double precision []
) RETURNS double precision [] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    ema_12 double precision;
    ema_26 double precision;
BEGIN
    IF state IS NULL THEN
        IF seed IS NULL THEN
            -- The first bar starts the EMAs (MACD, hence its EMA, is 0) and the true range (no close before it).
            RETURN ARRAY[close, close, 0, NULL, NULL, high - low];
        END IF;
        state := seed;
    END IF;
    ema_12 := state[1] + (close - state[1]) * (2.0::double precision / 13);
    ema_26 := state[2] + (close - state[2]) * (2.0::double precision / 27);
    RETURN ARRAY[
        ema_12,
        ema_26,
        state[3] + (ema_12 - ema_26 - state[3]) * 0.2::double precision,
        -- The first change starts the averages of gains and losses.
        coalesce(state[4] + (greatest(close - close_1, 0) - state[4]) / 14, greatest(close - close_1, 0)),
        coalesce(state[5] + (greatest(close_1 - close, 0) - state[5]) / 14, greatest(close_1 - close, 0)),
        state[6] + (greatest(high, close_1) - least(low, close_1) - state[6]) / 14
    ];
END $$;

CREATE OR REPLACE AGGREGATE features.recursive_averages(
    close double precision, high double precision, low double precision, close_1 double precision,
    seed double precision []
) (
    SFUNC = features.advance_recursive_averages,
    STYPE = double precision [],
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE features.recursive_averages(
    double precision, double precision, double precision, double precision, double precision []
) IS 'Over bars in order, with the close of the bar before each: '
    '{EMA12, EMA26, EMA9 of MACD, average gain, average loss, average true range}. '
    'It goes on from the first row''s seed, as these six stood after the bar before it; NULL starts there.';

RESET ROLE;
