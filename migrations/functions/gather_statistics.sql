-- Gather the planner's statistics of a hypertable, once more than 10,000 rows and a tenth of it have changed.
-- Autovacuum gathers those of each chunk, but not those of the whole table, by which joins and groupings are planned.
-- With rights of the owner, since only the owner of a table may ANALYZE it (before PostgreSQL 17).
SET LOCAL ROLE forecastle_owner;

CREATE OR REPLACE FUNCTION ml.gather_statistics(hypertable text, n_written bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    analyzed_at timestamptz;
    n_rows bigint;
    n_changed bigint;
BEGIN
    IF hypertable NOT IN ('ml.predictions', 'ml.outcomes') THEN
        RAISE EXCEPTION 'statistics of % are not gathered by this function', hypertable;
    END IF;
    SELECT greatest(last_analyze, last_autoanalyze) INTO analyzed_at
    FROM pg_stat_all_tables WHERE relid = hypertable::regclass;
    -- ANALYZE looks at the table and then at its chunks. A chunk that autovacuum has looked at later than that counts its
    -- changes from there on: all of it counts as changed.
    SELECT
        coalesce(sum(chunk.n_live_tup), 0),
        coalesce(sum(
            CASE
                WHEN greatest(chunk.last_analyze, chunk.last_autoanalyze) <= analyzed_at + interval '10 minutes'
                    THEN chunk.n_mod_since_analyze
                ELSE chunk.n_live_tup
            END
        ), 0)
    INTO n_rows, n_changed
    FROM pg_inherits
    INNER JOIN pg_stat_all_tables AS chunk ON chunk.relid = pg_inherits.inhrelid
    WHERE pg_inherits.inhparent = hypertable::regclass;
    -- What the caller has just written may not have been counted yet.
    n_changed := greatest(n_changed, n_written);
    IF n_changed <= 10000 + n_rows / 10 THEN
        RETURN false;
    END IF;
    EXECUTE format('ANALYZE %s', hypertable::regclass);
    RETURN true;
END $$;
COMMENT ON FUNCTION ml.gather_statistics(text, bigint) IS
    'Analyze ml.predictions or ml.outcomes where much of it, or of what was just written, is new; says whether it did.';
REVOKE EXECUTE ON FUNCTION ml.gather_statistics(text, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ml.gather_statistics(text, bigint) TO forecastle_worker;

RESET ROLE;
