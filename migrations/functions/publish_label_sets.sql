-- From what the label sets declare, that dbt hands over at the end of a run: which there are (labels.catalog), and every
-- set's rows (labels.vectors). Whoever reads labels reads these, so that a label set has its name in one place.
SET LOCAL ROLE forecastle_dbt;

CREATE OR REPLACE FUNCTION labels.publish_label_sets(in_schema text, declared jsonb) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    catalog CONSTANT text := format('%I.catalog', in_schema);
    vectors CONSTANT text := format('%I.vectors', in_schema);
    patience CONSTANT interval := '2 minutes';
    built CONSTANT jsonb := coalesce(
        (
            SELECT jsonb_agg(each ORDER BY each ->> 'name')
            FROM jsonb_array_elements(declared) AS each
            WHERE to_regclass(each ->> 'relation') IS NOT NULL
        ), '[]'
    );
    about CONSTANT text := format(
        'The label sets that are built. One row per label set. (%s)', md5(built::text)
    );
BEGIN
    IF obj_description(to_regclass(catalog), 'pg_class') = about AND to_regclass(vectors) IS NOT NULL THEN
        RETURN false;
    END IF;
    INSERT INTO monitoring.locks (name) VALUES (catalog) ON CONFLICT (name) DO NOTHING;
    PERFORM FROM monitoring.locks WHERE name = catalog FOR UPDATE;

    PERFORM staging.change_when_free(catalog, format(
        'CREATE OR REPLACE VIEW %s AS
        SELECT name AS label_set, version, relation, description
        FROM jsonb_to_recordset(%L) AS label_set (name text, version text, relation text, description text)',
        catalog, built
    ), patience);
    EXECUTE format('COMMENT ON VIEW %s IS %L', catalog, about);

    PERFORM staging.change_when_free(vectors, format(
        'CREATE OR REPLACE VIEW %s AS %s', vectors, coalesce(
            (
                SELECT string_agg(
                    format(
                        'SELECT %L::text AS label_set, label_set_version, symbol_id, timeframe, ts, as_of,
                            recorded_at, horizons, forward_returns, known_ats FROM %s',
                        each ->> 'name', (each ->> 'relation')::regclass
                    ), ' UNION ALL ' ORDER BY each ->> 'name'
                )
                FROM jsonb_array_elements(built) AS each
            ),
            'SELECT NULL::text AS label_set, NULL::text AS label_set_version, NULL::bigint AS symbol_id,
                NULL::text AS timeframe, NULL::timestamptz AS ts, NULL::timestamptz AS as_of,
                NULL::timestamptz AS recorded_at, NULL::integer[] AS horizons,
                NULL::double precision[] AS forward_returns, NULL::timestamptz[] AS known_ats
            WHERE false'
        )
    ), patience);
    EXECUTE format(
        'COMMENT ON VIEW %s IS %L', vectors,
        'The rows of every label set; for each of the horizons what followed, as an array in their order, NULL as long as it '
        'is not known. Choose by label_set: the other sets are then not read. One row per label set, symbol, timeframe and bar.'
    );
    RETURN true;
END $$;
COMMENT ON FUNCTION labels.publish_label_sets(text, jsonb) IS
    'Make catalog and vectors in a schema from what dbt declares, where they are others; says whether it did.';

-- Readers find them, empty, before the first build.
SELECT labels.publish_label_sets('labels', '[]') WHERE to_regclass('labels.catalog') IS NULL;

RESET ROLE;
