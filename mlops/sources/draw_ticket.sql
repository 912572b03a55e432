-- The number of an ingest, wanted before its row can be written since the row has the counts, and the moment at which
-- the database learns its rows: after all bars, symbols and announcements that it has, and after all deletions, even if its
-- clock was put back, or a build of features would not see what is new. Whoever draws holds the lock of the table. One row.
SELECT
    nextval(pg_get_serial_sequence('market.ingests', 'id')) AS ingest_id,
    greatest(
        clock_timestamp(),
        (SELECT max(recorded_at) + INTERVAL '1 microsecond' FROM market.bars),
        (SELECT max(recorded_at) + INTERVAL '1 microsecond' FROM market.symbols),
        (SELECT max(recorded_at) + INTERVAL '1 microsecond' FROM market.earnings),
        (SELECT max(superseded_at) + INTERVAL '1 microsecond' FROM market.superseded_bars WHERE deleted)
    ) AS recorded_at
