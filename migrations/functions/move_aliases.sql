-- The only functions that move an alias. Each waits for the others by the row of the model.
-- With rights of the owner, since nobody else may write ml.alias_moves.
SET LOCAL ROLE forecastle_owner;

-- What a training may do: give its version an alias. Production only as long as the model never had any in production.
CREATE OR REPLACE FUNCTION ml.place_version(of_model text, new_version integer, new_alias text, why text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM ml.models WHERE model = of_model FOR UPDATE;
    IF new_alias = 'production' AND EXISTS (
        SELECT FROM ml.alias_moves WHERE model = of_model AND alias = 'production'
    ) THEN
        RAISE EXCEPTION '% has had a version in production: only ml.promote puts another there', of_model
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO ml.alias_moves (model, alias, to_version, kind, reason)
    VALUES (of_model, new_alias, new_version, 'registration', why);
END $$;
COMMENT ON FUNCTION ml.place_version(text, integer, text, text) IS
    'Give a version that was just registered its alias; production only as long as there never was any.';
REVOKE EXECUTE ON FUNCTION ml.place_version(text, integer, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ml.place_version(text, integer, text, text) TO forecastle_worker;

-- Let a version make the model's forecasts from now on, and return the version that did so before, if any.
CREATE OR REPLACE FUNCTION ml.promote(of_model text, new_version integer, why text) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    before integer;
BEGIN
    PERFORM FROM ml.models WHERE model = of_model FOR UPDATE;
    IF NOT EXISTS (SELECT FROM ml.versions WHERE model = of_model AND version = new_version) THEN
        RAISE EXCEPTION 'there is no % v%', of_model, new_version USING ERRCODE = 'no_data_found';
    END IF;
    SELECT version INTO before FROM ml.aliases WHERE model = of_model AND alias = 'production';
    IF before = new_version THEN
        RAISE EXCEPTION '% v% is in production already', of_model, new_version USING ERRCODE = 'object_in_use';
    END IF;
    INSERT INTO ml.alias_moves (model, alias, to_version, kind, reason)
    VALUES (of_model, 'production', new_version, 'promotion', why);
    -- It forecasts in earnest now, and not in the shadow any more.
    INSERT INTO ml.alias_moves (model, alias, from_version, kind, reason)
    SELECT model, alias, version, 'promotion', 'It was promoted to production.'
    FROM ml.aliases
    WHERE model = of_model AND version = new_version AND alias <> 'production'
    ORDER BY alias;
    RETURN before;
END $$;
COMMENT ON FUNCTION ml.promote(text, integer, text) IS
    'Put a version into production, saying why; returns the version that was there before.';
REVOKE EXECUTE ON FUNCTION ml.promote(text, integer, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ml.promote(text, integer, text) TO forecastle_approver;

-- Let the version that was in production before the present one make the forecasts again, and return its number. Versions
-- in production are a stack: a promotion pushes a version, and a rollback pops it.
CREATE OR REPLACE FUNCTION ml.rollback(of_model text, why text) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    pile integer[] := ARRAY[]::integer[];
    move record;
BEGIN
    PERFORM FROM ml.models WHERE model = of_model FOR UPDATE;
    FOR move IN
        SELECT kind, to_version FROM ml.alias_moves WHERE model = of_model AND alias = 'production' ORDER BY id
    LOOP
        IF move.kind = 'rollback' THEN
            pile := pile[:cardinality(pile) - 1];
        ELSE
            pile := pile || move.to_version;
        END IF;
    END LOOP;
    IF cardinality(pile) < 2 THEN
        RAISE EXCEPTION 'no version of % was in production before%', of_model,
            CASE cardinality(pile) WHEN 1 THEN ' v' || pile[1] ELSE '' END
            USING ERRCODE = 'no_data_found';
    END IF;
    INSERT INTO ml.alias_moves (model, alias, to_version, kind, reason)
    VALUES (of_model, 'production', pile[cardinality(pile) - 1], 'rollback', why);
    RETURN pile[cardinality(pile) - 1];
END $$;
COMMENT ON FUNCTION ml.rollback(text, text) IS
    'Put the version into production that was there before the present one, saying why; returns its number.';
REVOKE EXECUTE ON FUNCTION ml.rollback(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ml.rollback(text, text) TO forecastle_approver;

RESET ROLE;
