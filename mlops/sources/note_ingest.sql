-- Write down that a file was taken in, and what became of its rows. One row.
INSERT INTO market.ingests (
    id, kind, source, sha256, timeframe, started_at, finished_at, n_read, n_new, n_changed, n_unchanged, n_rejected
)
OVERRIDING SYSTEM VALUE
VALUES (
    :ingest_id, :kind, :source, :sha256, :timeframe, :started_at, clock_timestamp(),
    :read, :new, :changed, :unchanged, :rejected
)
