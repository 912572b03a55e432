-- Where COPY puts the forecasts of a run before they go into ml.predictions. Gone when the transaction ends.
-- Grain: one row per model, version, symbol, timeframe, horizon and as-of.
CREATE TEMPORARY TABLE forecasts_to_make (
    model               text NOT NULL,
    version             integer NOT NULL,
    symbol_id           bigint NOT NULL,
    timeframe           text NOT NULL,
    horizon             integer NOT NULL,
    as_of               timestamptz NOT NULL,
    ts                  timestamptz NOT NULL,
    target_ts           timestamptz NOT NULL,
    p10                 double precision NOT NULL,
    p50                 double precision NOT NULL,
    p90                 double precision NOT NULL,
    direction           text NOT NULL,
    probability_bullish double precision NOT NULL,
    probability_neutral double precision NOT NULL,
    probability_bearish double precision NOT NULL
) ON COMMIT DROP
