-- The number of an ingest and the moment at which its rows are recorded. The number is needed before the row of the
-- ingest can be written, since that row has the counts. The moment is later than that of all bars, symbols,
-- announcements and deletions in the database, even if the clock was put back: else a build of features would miss the
-- new rows. The caller holds the lock of the table. One row.
SELECT
    nextval(pg_get_serial_sequence('market.ingests', 'id')) AS ingest_id,
    greatest(
        clock_timestamp(),
        (SELECT max(recorded_at) + INTERVAL '1 microsecond' FROM market.bars),
        (SELECT max(recorded_at) + INTERVAL '1 microsecond' FROM market.symbols),
        (SELECT max(recorded_at) + INTERVAL '1 microsecond' FROM market.earnings),
        (SELECT max(superseded_at) + INTERVAL '1 microsecond' FROM market.superseded_bars WHERE deleted)
    ) AS recorded_at
