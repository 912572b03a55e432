-- The averages that depend on all bars before: the EMAs and Wilder's averages, in one pass over a series.
-- `start`, where it is given, has the six averages as they stood after bar number `start_after`, and the pass goes on
-- from there. Where it is NULL, the series begins with its first bar.
-- It is in plpgsql, since plain SQL cannot use the result of the row before. It takes arrays, since that costs half as
-- much as a call for every bar. The closed form, with powers, overflows.
SET LOCAL ROLE forecastle_dbt;

-- CREATE OR REPLACE cannot rename an argument, and `start` was called `seed` once: so the old function is dropped first.
DO $$ BEGIN
    IF EXISTS (
        SELECT FROM pg_catalog.pg_proc
        WHERE pronamespace = 'features'::regnamespace AND proname = 'recursive_averages' AND 'seed' = ANY(proargnames)
    ) THEN
        DROP FUNCTION features.recursive_averages;
    END IF;
END $$;

CREATE OR REPLACE FUNCTION features.recursive_averages(
    closes double precision [],
    highs double precision [],
    lows double precision [],
    start double precision [],
    start_after integer,
    OUT ema_12 double precision [],
    OUT ema_26 double precision [],
    OUT macd_signal double precision [],
    OUT average_gain double precision [],
    OUT average_loss double precision [],
    OUT average_true_range double precision []
) LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    n_bars CONSTANT integer := cardinality(closes);
    n_done integer := 2;
    close double precision;
    close_1 double precision;
    fast double precision;
    slow double precision;
    signal double precision;
    gain double precision;
    loss double precision;
    true_range double precision;
BEGIN
    ema_12 := array_fill('NaN'::double precision, ARRAY[n_bars]);
    ema_26 := ema_12;
    macd_signal := ema_12;
    average_gain := ema_12;
    average_loss := ema_12;
    average_true_range := ema_12;
    IF start IS NOT NULL THEN
        n_done := start_after;
        fast := start[1];
        slow := start[2];
        signal := start[3];
        gain := start[4];
        loss := start[5];
        true_range := start[6];
    ELSIF n_bars > 1 THEN
        -- The first bar starts the EMAs (MACD, hence its EMA, is 0) and the true range (no close before it), the first
        -- change the averages of gains and losses.
        fast := closes[1] + (closes[2] - closes[1]) * (2.0::double precision / 13);
        slow := closes[1] + (closes[2] - closes[1]) * (2.0::double precision / 27);
        signal := (fast - slow) * 0.2::double precision;
        gain := greatest(closes[2] - closes[1], 0);
        loss := greatest(closes[1] - closes[2], 0);
        true_range := highs[1] - lows[1];
        true_range := true_range + (greatest(highs[2], closes[1]) - least(lows[2], closes[1]) - true_range) / 14;
    END IF;
    close_1 := closes[n_done];
    FOR bar IN n_done + 1 .. n_bars LOOP
        close := closes[bar];
        fast := fast + (close - fast) * (2.0::double precision / 13);
        slow := slow + (close - slow) * (2.0::double precision / 27);
        signal := signal + (fast - slow - signal) * 0.2::double precision;
        gain := gain + (greatest(close - close_1, 0) - gain) / 14;
        loss := loss + (greatest(close_1 - close, 0) - loss) / 14;
        true_range := true_range + (greatest(highs[bar], close_1) - least(lows[bar], close_1) - true_range) / 14;
        ema_12[bar] := fast;
        ema_26[bar] := slow;
        macd_signal[bar] := signal;
        average_gain[bar] := gain;
        average_loss[bar] := loss;
        average_true_range[bar] := true_range;
        close_1 := close;
    END LOOP;
END $$;
COMMENT ON FUNCTION features.recursive_averages(
    double precision [], double precision [], double precision [], double precision [], integer
) IS 'Of a series of bars in order: six arrays, what each average has come to after each bar from the third on. With '
    'a start, the six as they stood after bar number start_after, it goes on from there, and what is before is NaN.';

RESET ROLE;
