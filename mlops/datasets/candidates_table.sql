-- A table for the transaction: the rows that a training set may be made of.
-- Grain: one row per symbol and bar of the timeframe; `cause` is why it is left out, NULL where it is not.
CREATE TEMPORARY TABLE candidates (
    symbol_id           bigint NOT NULL,
    timeframe           text NOT NULL,
    ts                  timestamptz NOT NULL,
    as_of               timestamptz NOT NULL,
    date                timestamptz NOT NULL,
    label_known_at      timestamptz,
    feature_set_version text NOT NULL,
    recorded_at         timestamptz NOT NULL,
    cause               text
) ON COMMIT DROP
