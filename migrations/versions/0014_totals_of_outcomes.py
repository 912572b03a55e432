"""Forecasts are counted and outcomes added up as they come: views then cost by moments and days, not by forecasts.

Revision ID: 0014
Revises: 0013
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

KEY = ("model", "version", "symbol_id", "timeframe", "horizon", "as_of")
"""Of a prediction and of its outcome."""

ADD_UP = """
    INSERT INTO ml.outcome_totals AS t (
        model, version, timeframe, horizon, day, tenth, n, absolute_error, naive_absolute_error, hits, covered,
        up_to_p10, up_to_p50, up_to_p90, bullish, neutral, bearish, confidence
    )
    SELECT
        model, version, timeframe, horizon, (known_at AT TIME ZONE 'UTC')::date,
        least(floor(10 * confidence), 9)::smallint,
        {sign} count(*), {sign} sum(abs(error)::numeric), {sign} sum(abs(naive_error)::numeric),
        {sign} count(*) FILTER (WHERE hit), {sign} count(*) FILTER (WHERE covered),
        {sign} count(*) FILTER (WHERE quantiles_below = 0), {sign} count(*) FILTER (WHERE quantiles_below <= 1),
        {sign} count(*) FILTER (WHERE quantiles_below <= 2),
        {sign} count(*) FILTER (WHERE actual_direction = 'BULLISH'),
        {sign} count(*) FILTER (WHERE actual_direction = 'NEUTRAL'),
        {sign} count(*) FILTER (WHERE actual_direction = 'BEARISH'), {sign} sum(confidence::numeric)
    FROM {rows}
    GROUP BY 1, 2, 3, 4, 5, 6
    ORDER BY 1, 2, 3, 4, 5, 6
    ON CONFLICT (model, version, timeframe, horizon, day, tenth) DO UPDATE
    SET n = t.n + EXCLUDED.n, absolute_error = t.absolute_error + EXCLUDED.absolute_error,
        naive_absolute_error = t.naive_absolute_error + EXCLUDED.naive_absolute_error, hits = t.hits + EXCLUDED.hits,
        covered = t.covered + EXCLUDED.covered, up_to_p10 = t.up_to_p10 + EXCLUDED.up_to_p10,
        up_to_p50 = t.up_to_p50 + EXCLUDED.up_to_p50, up_to_p90 = t.up_to_p90 + EXCLUDED.up_to_p90,
        bullish = t.bullish + EXCLUDED.bullish, neutral = t.neutral + EXCLUDED.neutral,
        bearish = t.bearish + EXCLUDED.bearish, confidence = t.confidence + EXCLUDED.confidence
"""
"""Adds the outcomes of `rows` to the totals, or with the sign - takes them away. The sums are numeric, so that taking
away what was added leaves what was there before, to the last digit."""


def same(left: str, right: str) -> str:
    """Return the condition that rows of two relations are of one prediction."""
    return " AND ".join(f"{left}.{column} = {right}.{column}" for column in KEY)


def upgrade() -> None:
    """Keep beside each outcome what its forecast had stated, add outcomes up, and let the triggers work on whole statements."""
    op.execute("SET LOCAL ROLE forecastle_owner")
    extend_outcomes()
    make_totals()
    make_counts()
    follow_statements()
    # No reader is left: corrections are found by labels.vectors.
    op.execute("DROP INDEX ml.outcomes_recorded_at_idx")
    op.execute("RESET ROLE")


def extend_outcomes() -> None:
    """Let an outcome say how sure its forecast was and which of its quantiles lie below what came."""
    op.execute(f"""
        ALTER TABLE ml.outcomes ADD COLUMN confidence double precision, ADD COLUMN quantiles_below smallint;
        UPDATE ml.outcomes AS o
        SET confidence = CASE p.direction
                WHEN 'BULLISH' THEN p.probability_bullish
                WHEN 'NEUTRAL' THEN p.probability_neutral
                ELSE p.probability_bearish
            END,
            quantiles_below = (p.p10 < o.actual)::integer + (p.p50 < o.actual)::integer + (p.p90 < o.actual)::integer
        FROM ml.predictions AS p
        WHERE {same("p", "o")};
        ALTER TABLE ml.outcomes
            ALTER COLUMN confidence SET NOT NULL,
            ALTER COLUMN quantiles_below SET NOT NULL,
            ADD CONSTRAINT quantiles_are_three CHECK (quantiles_below BETWEEN 0 AND 3);
        COMMENT ON COLUMN ml.outcomes.confidence IS
            'Probability, 0 to 1, that the forecast gave to the direction that it named.';
        COMMENT ON COLUMN ml.outcomes.quantiles_below IS
            'How many of the p10, p50 and p90 of the forecast lie below the actual return, 0 to 3.';
    """)  # noqa: S608 - text of our own


def make_totals() -> None:
    """Make the table of totals and add up the outcomes that there are."""
    op.execute(f"""
        CREATE TABLE ml.outcome_totals (
            model                text NOT NULL,
            version              integer NOT NULL,
            timeframe            text NOT NULL,
            horizon              integer NOT NULL,
            day                  date NOT NULL,
            tenth                smallint NOT NULL CHECK (tenth BETWEEN 0 AND 9),
            n                    bigint NOT NULL,
            absolute_error       numeric NOT NULL,
            naive_absolute_error numeric NOT NULL,
            hits                 bigint NOT NULL,
            covered              bigint NOT NULL,
            up_to_p10            bigint NOT NULL,
            up_to_p50            bigint NOT NULL,
            up_to_p90            bigint NOT NULL,
            bullish              bigint NOT NULL,
            neutral              bigint NOT NULL,
            bearish              bigint NOT NULL,
            confidence           numeric NOT NULL,
            PRIMARY KEY (model, version, timeframe, horizon, day, tenth)
        );
        COMMENT ON TABLE ml.outcome_totals IS
            'ml.outcomes added up; written by the trigger on ml.outcomes and by nothing else. '
            'One row per model, version, timeframe, horizon, day and tenth of the confidence.';
        COMMENT ON COLUMN ml.outcome_totals.day IS 'The day, in UTC, on which the actual returns became known.';
        COMMENT ON COLUMN ml.outcome_totals.tenth IS
            'Tenth of the confidence that the forecasts stated: 3 is from 0.3 to below 0.4, and 9 has 1.0, too.';
        COMMENT ON COLUMN ml.outcome_totals.n IS 'How many outcomes.';
        COMMENT ON COLUMN ml.outcome_totals.absolute_error IS 'Sum of |p50 - actual|, of returns as fractions.';
        COMMENT ON COLUMN ml.outcome_totals.naive_absolute_error IS 'Sum of |actual|: the error of a forecast of zero.';
        COMMENT ON COLUMN ml.outcome_totals.hits IS 'How many named the direction that came.';
        COMMENT ON COLUMN ml.outcome_totals.covered IS 'How many had the actual return within [p10, p90].';
        COMMENT ON COLUMN ml.outcome_totals.up_to_p10 IS 'How many had an actual return of at most p10.';
        COMMENT ON COLUMN ml.outcome_totals.up_to_p50 IS 'How many had an actual return of at most p50.';
        COMMENT ON COLUMN ml.outcome_totals.up_to_p90 IS 'How many had an actual return of at most p90.';
        COMMENT ON COLUMN ml.outcome_totals.bullish IS 'How many were BULLISH in the end.';
        COMMENT ON COLUMN ml.outcome_totals.neutral IS 'How many were NEUTRAL in the end.';
        COMMENT ON COLUMN ml.outcome_totals.bearish IS 'How many were BEARISH in the end.';
        COMMENT ON COLUMN ml.outcome_totals.confidence IS 'Sum of the confidences.';
        GRANT SELECT ON ml.outcome_totals TO forecastle_worker, forecastle_dbt;
        {ADD_UP.format(sign="+", rows="ml.outcomes")};
    """)


def make_counts() -> None:
    """Make the table of the moments that were forecast and count the predictions that there are."""
    op.execute("""
        CREATE TABLE ml.prediction_counts (
            model     text NOT NULL,
            version   integer NOT NULL,
            timeframe text NOT NULL,
            as_of     timestamptz NOT NULL,
            n         bigint NOT NULL,
            PRIMARY KEY (model, version, timeframe, as_of)
        );
        COMMENT ON TABLE ml.prediction_counts IS
            'ml.predictions counted; written by the trigger on ml.predictions and by nothing else. '
            'One row per model, version, timeframe and as-of.';
        COMMENT ON COLUMN ml.prediction_counts.n IS 'How many predictions.';
        GRANT SELECT ON ml.prediction_counts TO forecastle_worker, forecastle_dbt;
        INSERT INTO ml.prediction_counts (model, version, timeframe, as_of, n)
        SELECT model, version, timeframe, as_of, count(*) FROM ml.predictions GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4;
    """)


def follow_statements() -> None:
    """Let the triggers on predictions and outcomes work once a statement, on all of its rows."""
    op.execute(f"""
        DROP TRIGGER is_followed ON ml.predictions;
        DROP TRIGGER is_followed ON ml.outcomes;

        CREATE OR REPLACE FUNCTION ml.follow_predictions() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
            SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                INSERT INTO ml.unresolved (model, version, symbol_id, timeframe, horizon, as_of, ts, target_ts)
                SELECT model, version, symbol_id, timeframe, horizon, as_of, ts, target_ts FROM added;
                INSERT INTO ml.prediction_counts AS c (model, version, timeframe, as_of, n)
                SELECT model, version, timeframe, as_of, count(*) FROM added GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
                ON CONFLICT (model, version, timeframe, as_of) DO UPDATE SET n = c.n + EXCLUDED.n;
            ELSE
                DELETE FROM ml.outcomes AS o USING taken AS t WHERE {same("o", "t")};
                DELETE FROM ml.unresolved AS u USING taken AS t WHERE {same("u", "t")};
                UPDATE ml.prediction_counts AS c SET n = c.n - t.n
                FROM (SELECT model, version, timeframe, as_of, count(*) AS n FROM taken GROUP BY 1, 2, 3, 4) AS t
                WHERE c.model = t.model AND c.version = t.version AND c.timeframe = t.timeframe AND c.as_of = t.as_of;
                DELETE FROM ml.prediction_counts AS c USING taken AS t
                WHERE c.n = 0 AND c.model = t.model AND c.version = t.version AND c.timeframe = t.timeframe
                    AND c.as_of = t.as_of;
            END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER insert_is_followed AFTER INSERT ON ml.predictions REFERENCING NEW TABLE AS added
            FOR EACH STATEMENT EXECUTE FUNCTION ml.follow_predictions();
        CREATE TRIGGER delete_is_followed AFTER DELETE ON ml.predictions REFERENCING OLD TABLE AS taken
            FOR EACH STATEMENT EXECUTE FUNCTION ml.follow_predictions();

        CREATE OR REPLACE FUNCTION ml.follow_outcomes() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
            SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                DELETE FROM ml.unresolved AS u USING added AS a WHERE {same("u", "a")};
            ELSIF TG_OP = 'DELETE' THEN
                INSERT INTO ml.unresolved (model, version, symbol_id, timeframe, horizon, as_of, ts, target_ts)
                SELECT p.model, p.version, p.symbol_id, p.timeframe, p.horizon, p.as_of, p.ts, p.target_ts
                FROM taken AS t JOIN ml.predictions AS p ON {same("p", "t")};
            END IF;
            IF TG_OP IN ('INSERT', 'UPDATE') THEN
                {ADD_UP.format(sign="+", rows="added")};
            END IF;
            IF TG_OP IN ('DELETE', 'UPDATE') THEN
                {ADD_UP.format(sign="-", rows="taken")};
                DELETE FROM ml.outcome_totals AS totals
                USING (SELECT DISTINCT model, version, timeframe, horizon FROM taken) AS t
                WHERE totals.n = 0 AND totals.model = t.model AND totals.version = t.version
                    AND totals.timeframe = t.timeframe AND totals.horizon = t.horizon;
            END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER insert_is_followed AFTER INSERT ON ml.outcomes REFERENCING NEW TABLE AS added
            FOR EACH STATEMENT EXECUTE FUNCTION ml.follow_outcomes();
        CREATE TRIGGER update_is_followed AFTER UPDATE ON ml.outcomes REFERENCING OLD TABLE AS taken NEW TABLE AS added
            FOR EACH STATEMENT EXECUTE FUNCTION ml.follow_outcomes();
        CREATE TRIGGER delete_is_followed AFTER DELETE ON ml.outcomes REFERENCING OLD TABLE AS taken
            FOR EACH STATEMENT EXECUTE FUNCTION ml.follow_outcomes();
    """)  # noqa: S608 - text of our own


def downgrade() -> None:
    """Go back to triggers on each row and to outcomes that are added up when somebody looks."""
    op.execute(f"""
        DROP VIEW IF EXISTS analytics.calibration, analytics.forecast_accuracy, analytics.forecast_consensus;
        DROP TRIGGER insert_is_followed ON ml.predictions;
        DROP TRIGGER delete_is_followed ON ml.predictions;
        DROP TRIGGER insert_is_followed ON ml.outcomes;
        DROP TRIGGER update_is_followed ON ml.outcomes;
        DROP TRIGGER delete_is_followed ON ml.outcomes;
        DROP TABLE ml.outcome_totals, ml.prediction_counts;
        ALTER TABLE ml.outcomes DROP COLUMN confidence, DROP COLUMN quantiles_below;
        CREATE INDEX ON ml.outcomes (recorded_at);

        CREATE OR REPLACE FUNCTION ml.follow_predictions() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
            SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                INSERT INTO ml.unresolved VALUES (NEW.model, NEW.version, NEW.symbol_id, NEW.timeframe, NEW.horizon,
                                                  NEW.as_of, NEW.ts, NEW.target_ts);
            ELSE
                DELETE FROM ml.outcomes AS o WHERE {same("o", "OLD")};
                DELETE FROM ml.unresolved AS u WHERE {same("u", "OLD")};
            END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER is_followed AFTER INSERT OR DELETE ON ml.predictions
            FOR EACH ROW EXECUTE FUNCTION ml.follow_predictions();

        CREATE OR REPLACE FUNCTION ml.follow_outcomes() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
            SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                DELETE FROM ml.unresolved AS u WHERE {same("u", "NEW")};
            ELSE
                INSERT INTO ml.unresolved
                SELECT model, version, symbol_id, timeframe, horizon, as_of, ts, target_ts FROM ml.predictions AS p
                WHERE {same("p", "OLD")};
            END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER is_followed AFTER INSERT OR DELETE ON ml.outcomes
            FOR EACH ROW EXECUTE FUNCTION ml.follow_outcomes();
    """)  # noqa: S608 - text of our own
