-- Change a relation that people may be reading. A statement that waits for a lock makes everybody wait who comes after
-- it; so this one waits a second, lets the others through, and tries again. No SET search_path: the statement is the
-- caller's, and all other names are PostgreSQL's own.
SET LOCAL ROLE forecastle_dbt;

CREATE OR REPLACE FUNCTION staging.change_when_free(
    relation text, statement text, patience interval
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    give_up_at CONSTANT timestamptz := clock_timestamp() + patience;
    lock_timeout_before CONSTANT text := current_setting('lock_timeout');
BEGIN
    LOOP
        BEGIN
            PERFORM set_config('lock_timeout', '1s', true);
            EXECUTE statement;
            PERFORM set_config('lock_timeout', lock_timeout_before, true);
            RETURN;
        EXCEPTION WHEN lock_not_available THEN
            IF clock_timestamp() >= give_up_at THEN
                RAISE lock_not_available USING MESSAGE = format(
                    '%s is held by a transaction that does not end: %s. Have it ended, and build again',
                    relation, coalesce(
                        (
                            SELECT string_agg(DISTINCT format('%s (pg_terminate_backend(%s))', usename, pid), ', ')
                            FROM pg_locks
                            INNER JOIN pg_stat_activity USING (pid)
                            WHERE pg_locks.relation = to_regclass($1) AND granted
                        ),
                        'of a relation that depends on it'
                    )
                );
            END IF;
        END;
        PERFORM pg_sleep(0.5);
    END LOOP;
END $$;
COMMENT ON FUNCTION staging.change_when_free(text, text, interval) IS
    'Run a statement that needs the relation for itself; for as long as patience lasts, only while nobody reads it.';

RESET ROLE;
