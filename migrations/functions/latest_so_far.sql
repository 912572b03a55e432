-- The running maximum over a series: when the last of the bars up to each one became known, or was recorded.
SET LOCAL ROLE forecastle_dbt;

CREATE OR REPLACE FUNCTION features.latest_so_far(
    moments timestamptz [], at_least timestamptz
) RETURNS timestamptz [] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    latest timestamptz := at_least;
BEGIN
    FOR n IN 1 .. cardinality(moments) LOOP
        IF moments[n] < latest THEN
            moments[n] := latest;
        ELSE
            latest := moments[n];
        END IF;
    END LOOP;
    RETURN moments;
END $$;
COMMENT ON FUNCTION features.latest_so_far(timestamptz [], timestamptz) IS
    'Each moment replaced by the latest of those up to it, and of at_least unless that is NULL.';

RESET ROLE;
