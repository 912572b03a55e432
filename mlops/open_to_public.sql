-- What PostgreSQL and TimescaleDB let everybody call though it harms and nobody needs it who only reads.
-- One row per function or procedure: its signature, and whether the login may take it from PUBLIC.
SELECT
    CAST(CAST(p.oid AS regprocedure) AS text) AS routine,
    pg_has_role(p.proowner, 'USAGE') AS is_ours
FROM pg_catalog.pg_proc AS p
INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE
    p.prokind IN ('f', 'p')
    AND has_function_privilege('public', p.oid, 'EXECUTE')
    AND (
        (
            n.nspname = 'pg_catalog'
            AND p.proname IN (
                -- Fill the disk: large objects, a file for each exported snapshot, messages in the log.
                'lo_creat', 'lo_create', 'lo_from_bytea', 'lo_put', 'lowrite', 'lo_truncate', 'lo_truncate64',
                'lo_unlink', 'pg_export_snapshot', 'pg_logical_emit_message', 'pg_notify',
                -- End the work of somebody else with the same login.
                'pg_terminate_backend', 'pg_cancel_backend'
            )
        )
        OR (
            n.nspname = 'pg_catalog'
            -- Use up the table of locks that all share. A bare database has no other lock for its first migration.
            AND p.proname IN (
                'pg_advisory_lock', 'pg_advisory_lock_shared', 'pg_advisory_xact_lock', 'pg_advisory_xact_lock_shared',
                'pg_try_advisory_lock', 'pg_try_advisory_lock_shared', 'pg_try_advisory_xact_lock',
                'pg_try_advisory_xact_lock_shared'
            )
            AND to_regclass('public.alembic_version') IS NOT NULL
        )
        OR EXISTS (
            SELECT
            FROM pg_catalog.pg_depend AS d
            INNER JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid
            WHERE
                d.classid = CAST('pg_catalog.pg_proc' AS regclass)
                AND d.objid = p.oid
                AND d.refclassid = CAST('pg_catalog.pg_extension' AS regclass)
                AND e.extname = 'timescaledb'
                AND (
                    -- Use up the background workers (the Community edition has these).
                    p.proname IN ('add_job', 'alter_job', 'delete_job', 'run_job')
                    -- Of TimescaleDB's inner functions not all ask who calls: drop_chunk deletes anybody's rows. Its own
                    -- code calls them without asking for rights.
                    OR (
                        n.nspname IN ('_timescaledb_functions', '_timescaledb_internal', '_timescaledb_debug')
                        AND p.provolatile = 'v'
                        -- Nobody can call these, and whoever makes a hypertable needs them.
                        AND p.prorettype NOT IN (CAST('trigger' AS regtype), CAST('event_trigger' AS regtype))
                        -- What the jobs of a table's owner run.
                        AND p.proname NOT LIKE 'policy%'
                        -- These read.
                        AND p.proname NOT IN (
                            'chunk_id_from_relid', 'chunk_status', 'chunks_local_size', 'compressed_chunk_local_stats',
                            'generate_uuid', 'get_approx_row_count', 'get_partition_for_key', 'get_partition_hash',
                            'hypertable_local_size', 'indexes_local_size', 'interval_to_usec',
                            'relation_approximate_size', 'relation_size', 'show_chunk', 'time_to_internal', 'to_date',
                            'to_interval', 'to_timestamp', 'to_timestamp_without_timezone', 'to_unix_microseconds'
                        )
                    )
                )
        )
    )
ORDER BY routine
