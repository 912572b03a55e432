-- Have the next value of each new sequence written to the log, for sequences other than :before.
-- With wal_level minimal PostgreSQL writes nothing of a sequence to its log in the transaction that creates it, though it
-- counts the 32 values after the first one as written. A server that is killed before the next checkpoint would then give
-- out numbers again that it had given out before (seen: the id of a hypertable, so that no other could be made).
-- Grain: one row per new sequence.
SELECT setval(
    format('%I.%I', schemaname, sequencename)::regclass, coalesce(last_value, start_value), last_value IS NOT NULL
)
FROM pg_sequences
WHERE
    current_setting('wal_level') = 'minimal'
    -- Those of an extension may be its owner's alone, on a server whose administrator is no superuser.
    AND has_sequence_privilege(format('%I.%I', schemaname, sequencename)::regclass, 'UPDATE')
    AND NOT format('%I.%I', schemaname, sequencename)::regclass::oid = ANY(CAST(:before AS oid []))
