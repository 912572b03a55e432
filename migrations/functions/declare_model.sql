-- Declare what a model is asked, at the first training of one of its candidates, and return what it is asked: what was
-- declared before stands. It is declared anew as long as it has no version, and where a model from before models were
-- declared has no universe yet.
-- With rights of the owner, since a worker may not change what a model is asked.
SET LOCAL ROLE forecastle_owner;

CREATE OR REPLACE FUNCTION ml.declare_model(
    declared_model text, declared_timeframe text, declared_horizons integer [], declared_universe jsonb,
    declared_target text
) RETURNS ml.models
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found ml.models;
BEGIN
    INSERT INTO ml.models (model, timeframe, horizons, universe, target)
    VALUES (declared_model, declared_timeframe, declared_horizons, declared_universe, declared_target)
    ON CONFLICT (model) DO NOTHING;
    UPDATE ml.models AS m
    SET timeframe = declared_timeframe, horizons = declared_horizons, universe = declared_universe, target = declared_target
    WHERE m.model = declared_model AND NOT EXISTS (SELECT FROM ml.versions AS v WHERE v.model = m.model);
    UPDATE ml.models AS m SET universe = declared_universe
    WHERE m.model = declared_model AND m.universe IS NULL
        AND m.timeframe = declared_timeframe AND m.horizons = declared_horizons AND m.target = declared_target;
    SELECT * INTO STRICT found FROM ml.models AS m WHERE m.model = declared_model;
    RETURN found;
END $$;
COMMENT ON FUNCTION ml.declare_model(text, text, integer [], jsonb, text) IS
    'Declare what a model is asked, where it is not declared yet, and return what it is asked.';
REVOKE EXECUTE ON FUNCTION ml.declare_model(text, text, integer [], jsonb, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ml.declare_model(text, text, integer [], jsonb, text) TO forecastle_worker;

RESET ROLE;
