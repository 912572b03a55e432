-- From the contracts of the feature sets, that dbt hands over at the end of a run: which features there are
-- (features.catalog), every set's rows with the features as an array in that order (features.vectors), and what they were
-- at a moment (features.vector_at). Whoever reads features reads these, so that a feature has its name in one place.
SET LOCAL ROLE forecastle_dbt;

CREATE OR REPLACE FUNCTION features.publish_feature_sets(in_schema text, declared jsonb) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    catalog CONSTANT text := format('%I.catalog', in_schema);
    vectors CONSTANT text := format('%I.vectors', in_schema);
    patience CONSTANT interval := '2 minutes';
    vector_at CONSTANT text := format('%I.vector_at', in_schema);
    -- Those whose table is there. A set that cannot be rebuilt has no part in vector_at: the checks find it wanting.
    built CONSTANT jsonb := coalesce(
        (
            SELECT jsonb_agg(
                each || jsonb_build_object(
                    'rebuilds', to_regprocedure((each ->> 'relation') || '_at(bigint, text, timestamptz)') IS NOT NULL
                ) ORDER BY each ->> 'name'
            )
            FROM jsonb_array_elements(declared) AS each
            WHERE to_regclass(each ->> 'relation') IS NOT NULL
        ), '[]'
    );
    about CONSTANT text := format(
        'The features of each feature set, in the order of features.vectors. One row per set and feature. (%s)',
        md5(built::text)
    );
    branches text;
    rebuilds text;
BEGIN
    IF obj_description(to_regclass(catalog), 'pg_class') = about AND to_regclass(vectors) IS NOT NULL THEN
        RETURN false;
    END IF;
    INSERT INTO monitoring.locks (name) VALUES (catalog) ON CONFLICT (name) DO NOTHING;
    PERFORM FROM monitoring.locks WHERE name = catalog FOR UPDATE;

    PERFORM staging.change_when_free(catalog, format(
        'CREATE OR REPLACE VIEW %s AS
        SELECT
            feature_set.name AS feature_set, feature_set.version, feature_set.relation, feature_set.bars_before_first_row,
            feature.position::integer,
            feature.value ->> ''name'' AS feature, feature.value ->> ''description'' AS description,
            (feature.value ->> ''above'')::double precision AS above,
            (feature.value ->> ''at_least'')::double precision AS at_least,
            (feature.value ->> ''at_most'')::double precision AS at_most,
            feature.value ->> ''why'' AS why
        FROM jsonb_to_recordset(%L) AS feature_set (
            name text, version text, relation text, bars_before_first_row integer, features jsonb
        )
        CROSS JOIN LATERAL jsonb_array_elements(feature_set.features) WITH ORDINALITY AS feature (value, position)',
        catalog, built
    ), patience);
    EXECUTE format('COMMENT ON VIEW %s IS %L', catalog, about);

    SELECT
        string_agg(
            format(
                'SELECT %L::text AS feature_set, symbol_id, timeframe, ts, as_of, known_at, recorded_at,
                    feature_set_version, num_nulls(%s) AS n_missing, ARRAY[%s]::double precision[] AS features FROM %s',
                each ->> 'name', named.columns, named.columns, (each ->> 'relation')::regclass
            ), ' UNION ALL ' ORDER BY each ->> 'name'
        ),
        string_agg(
            format(
                'SELECT ts, as_of, ARRAY[%s]::double precision[] FROM %s_at($2, $3, $4) WHERE $1 = %L',
                named.columns, (each ->> 'relation')::regclass, each ->> 'name'
            ), ' UNION ALL ' ORDER BY each ->> 'name'
        ) FILTER (WHERE (each ->> 'rebuilds')::boolean)
    INTO branches, rebuilds
    FROM jsonb_array_elements(built) AS each
    CROSS JOIN LATERAL (
        SELECT string_agg(format('%I', feature.value ->> 'name'), ', ' ORDER BY feature.position) AS columns
        FROM jsonb_array_elements(each -> 'features') WITH ORDINALITY AS feature (value, position)
    ) AS named;

    PERFORM staging.change_when_free(vectors, format(
        'CREATE OR REPLACE VIEW %s AS %s', vectors, coalesce(
            branches,
            'SELECT NULL::text AS feature_set, NULL::bigint AS symbol_id, NULL::text AS timeframe, NULL::timestamptz AS ts,
                NULL::timestamptz AS as_of, NULL::timestamptz AS known_at, NULL::timestamptz AS recorded_at,
                NULL::text AS feature_set_version, NULL::integer AS n_missing, NULL::double precision[] AS features
            WHERE false'
        )
    ), patience);
    EXECUTE format(
        'COMMENT ON VIEW %s IS %L', vectors,
        'The rows of every feature set, the features as an array in the order of features.catalog; n_missing of them are '
        'NULL. Choose by feature_set: the other sets are then not read. One row per feature set, symbol, timeframe and bar.'
    );
    EXECUTE format(
        'CREATE OR REPLACE FUNCTION %s(
            p_feature_set text, p_symbol_id bigint, p_timeframe text, p_cutoff timestamptz
        ) RETURNS TABLE (ts timestamptz, as_of timestamptz, features double precision[])
        LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS %L', vector_at, coalesce(
            rebuilds,
            'SELECT NULL::timestamptz, NULL::timestamptz, NULL::double precision[] WHERE false'
        )
    );
    EXECUTE format(
        'COMMENT ON FUNCTION %s(text, bigint, text, timestamptz) IS %L', vector_at,
        'The features of a set, in the order of features.catalog, at the newest bar with known_at <= p_cutoff, rebuilt from '
        'rows with known_at <= p_cutoff and nothing else. One row, or none where there is too little history.'
    );
    RETURN true;
END $$;
COMMENT ON FUNCTION features.publish_feature_sets(text, jsonb) IS
    'Make catalog, vectors and vector_at in a schema from what dbt declares, where they are others; says whether it did.';

-- Readers find them, empty, before the first build.
SELECT features.publish_feature_sets('features', '[]') WHERE to_regclass('features.catalog') IS NULL;

RESET ROLE;
