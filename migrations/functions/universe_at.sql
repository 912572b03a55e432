-- The symbols of a universe as it was at a moment. A universe is what [universe] of a specification says: an object with
-- any of asset_class, exchange, list (of market.universes) and minimum_bars; all of them have to hold. NULL or {}: every
-- symbol. Of bars and of stays on the list those count that were known by then.
SET LOCAL ROLE forecastle_owner;

CREATE OR REPLACE FUNCTION market.universe_at(universe jsonb, of_timeframe text, cutoff timestamptz)
RETURNS SETOF bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT s.id
    FROM market.symbols AS s
    WHERE s.asset_class = coalesce(universe ->> 'asset_class', s.asset_class)
        AND s.exchange = coalesce(universe ->> 'exchange', s.exchange)
        AND (
            universe ->> 'list' IS NULL
            OR EXISTS (
                SELECT FROM market.universes AS stay
                WHERE stay.universe = universe_at.universe ->> 'list' AND stay.symbol_id = s.id
                    AND stay.ts <= cutoff AND stay.known_at <= cutoff AND coalesce(stay.until, 'infinity') > cutoff
            )
        )
        AND (
            universe ->> 'minimum_bars' IS NULL
            OR (
                SELECT count(*) FROM market.bars AS b
                WHERE b.symbol_id = s.id AND b.timeframe = of_timeframe AND b.ts < cutoff AND b.known_at <= cutoff
            ) >= (universe ->> 'minimum_bars')::integer
        )
$$;
COMMENT ON FUNCTION market.universe_at(jsonb, text, timestamptz) IS
    'The symbols (ids) of a universe, as [universe] of a specification has it, at a moment.';
REVOKE EXECUTE ON FUNCTION market.universe_at(jsonb, text, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION market.universe_at(jsonb, text, timestamptz) TO forecastle_worker, forecastle_dbt;

RESET ROLE;
