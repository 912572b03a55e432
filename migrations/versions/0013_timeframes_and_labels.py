"""Timeframes are rows of one table; a version says by which labels it was taught and is judged.

Revision ID: 0013
Revises: 0012
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

LABEL_SET_VERSION = "forward-1"
"""What the labels are called that every version so far was trained on; their thresholds are those of `TIMEFRAMES`."""

TIMEFRAMES = """
    ('m1', '1 minute', 'clock', '{1,5,10,20}', '{0.0002,0.0005,0.0007,0.0010}'),
    ('m5', '5 minutes', 'clock', '{1,5,10,20}', '{0.0005,0.0010,0.0015,0.0020}'),
    ('m15', '15 minutes', 'clock', '{1,5,10,20}', '{0.0008,0.0018,0.0025,0.0035}'),
    ('m30', '30 minutes', 'clock', '{1,5,10,20}', '{0.0010,0.0025,0.0035,0.0050}'),
    ('h1', '1 hour', 'clock', '{1,5,10,20}', '{0.0015,0.0035,0.0050,0.0070}'),
    ('h4', '4 hours', 'clock', '{1,5,10,20}', '{0.0030,0.0065,0.0090,0.0130}'),
    ('d1', '1 day', 'session', '{1,5,10,20}', '{0.0050,0.0110,0.0160,0.0220}'),
    ('w1', '7 days', 'week', '{1,4,13,26}', '{0.0110,0.0220,0.0400,0.0570}')
"""


def upgrade() -> None:
    """Make the table of timeframes and the calendar of their bars, and let versions say what their labels are."""
    op.execute("SET LOCAL ROLE forecastle_owner")
    make_timeframes()
    make_calendar()
    extend_versions()
    record_in_order()
    op.execute("RESET ROLE")


def make_timeframes() -> None:
    """Make the one place that says what a timeframe is."""
    op.execute(f"""
        CREATE FUNCTION market.is_ascending(numbers integer[]) RETURNS boolean LANGUAGE sql IMMUTABLE
        SET search_path = pg_catalog, pg_temp AS $$
            SELECT numbers = ARRAY(SELECT DISTINCT n FROM unnest(numbers) AS n ORDER BY n)
        $$;
        COMMENT ON FUNCTION market.is_ascending(integer[]) IS 'Whether each number is greater than the one before it.';

        CREATE TABLE market.timeframes (
            timeframe    text PRIMARY KEY CHECK (timeframe ~ '^[a-z][a-z0-9_]*$' AND length(timeframe) <= 20),
            bar_length   interval NOT NULL CHECK (bar_length > INTERVAL '0'),
            session_rule text NOT NULL CHECK (session_rule IN ('clock', 'session', 'week')),
            horizons     integer[] NOT NULL,
            thresholds   double precision[] NOT NULL,
            CONSTRAINT horizons_are_ascending CHECK (
                cardinality(horizons) BETWEEN 1 AND 20 AND market.is_ascending(horizons)
                AND horizons[1] > 0 AND horizons[cardinality(horizons)] <= 250
            ),
            CONSTRAINT each_horizon_has_a_threshold CHECK (
                cardinality(thresholds) = cardinality(horizons) AND array_position(thresholds, NULL) IS NULL
                AND 0 <= ALL (thresholds) AND 'Infinity' > ALL (thresholds)
            )
        );
        COMMENT ON TABLE market.timeframes IS
            'The lengths that bars can have, and what is forecast of each. One row per timeframe.';
        COMMENT ON COLUMN market.timeframes.bar_length IS 'How long a bar lasts at most; a session or a week ends earlier.';
        COMMENT ON COLUMN market.timeframes.session_rule IS
            'clock: bars follow each other by the clock from the open of a session, and the last ends with it; session: a bar '
            'is a session of the exchange; week: a bar is the sessions of a week from Monday to Sunday.';
        COMMENT ON COLUMN market.timeframes.horizons IS 'How many bars ahead there are labels for, ascending.';
        COMMENT ON COLUMN market.timeframes.thresholds IS
            'For each horizon, by how much, as a fraction, the forward return must exceed (fall below) zero to be BULLISH '
            '(BEARISH). About 0.4 standard deviations of liquid stocks, so that the three classes are of like size.';
        INSERT INTO market.timeframes (timeframe, bar_length, session_rule, horizons, thresholds) VALUES {TIMEFRAMES};
        GRANT SELECT ON market.timeframes TO forecastle_worker, forecastle_dbt;
    """)  # noqa: S608 - text of our own


def make_calendar() -> None:
    """Give weeks the same calendar that sessions have."""
    op.execute("""
        CREATE VIEW market.calendar AS
        SELECT 'session' AS rule, exchange, session, opens_at, closes_at, ordinal FROM market.sessions
        UNION ALL
        SELECT
            'week' AS rule, exchange, min(session) AS session, min(opens_at) AS opens_at, max(closes_at) AS closes_at,
            (row_number() OVER (PARTITION BY exchange ORDER BY date_trunc('week', session::timestamp)))::integer AS ordinal
        FROM market.sessions
        GROUP BY exchange, date_trunc('week', session::timestamp);
        COMMENT ON VIEW market.calendar IS
            'The trading calendar by sessions and by weeks. One row per rule, exchange and session (or week).';
        COMMENT ON COLUMN market.calendar.session IS 'Its day; of a week, its first one.';
        COMMENT ON COLUMN market.calendar.ordinal IS 'Consecutive within the rule and exchange: h ahead is ordinal + h.';
        GRANT SELECT ON market.calendar TO forecastle_worker, forecastle_dbt;
    """)


def extend_versions() -> None:
    """Let a version say which labels it was trained on; those that there are were trained on the one set that there was."""
    op.execute(f"""
        ALTER TABLE ml.versions
            ADD COLUMN label_set text,
            ADD COLUMN label_set_version text,
            ADD COLUMN thresholds double precision[];
        ALTER TABLE ml.versions DISABLE TRIGGER is_immutable;
        UPDATE ml.versions AS v
        SET
            label_set = m.target,
            label_set_version = '{LABEL_SET_VERSION}',
            thresholds = ARRAY(
                SELECT coalesce(t.thresholds[array_position(t.horizons, asked.horizon)], 0)
                FROM unnest(v.horizons) WITH ORDINALITY AS asked (horizon, place)
                LEFT JOIN market.timeframes AS t ON t.timeframe = v.timeframe
                ORDER BY asked.place
            )
        FROM ml.models AS m
        WHERE m.model = v.model;
        ALTER TABLE ml.versions ENABLE TRIGGER is_immutable;
        ALTER TABLE ml.versions
            ALTER COLUMN label_set SET NOT NULL,
            ALTER COLUMN label_set_version SET NOT NULL,
            ALTER COLUMN thresholds SET NOT NULL,
            ADD CONSTRAINT each_horizon_has_a_threshold CHECK (cardinality(thresholds) = cardinality(horizons));
        COMMENT ON COLUMN ml.versions.label_set IS 'The labels that it was trained on, by which its forecasts are judged.';
        COMMENT ON COLUMN ml.versions.label_set_version IS 'Names their definition.';
        COMMENT ON COLUMN ml.versions.thresholds IS
            'For each horizon, beyond which forward return, as a fraction, a direction is BULLISH or BEARISH.';
        GRANT INSERT (label_set, label_set_version, thresholds) ON ml.versions TO forecastle_worker;

        CREATE TABLE ml.labels_seen (
            label_set  text PRIMARY KEY,
            seen_up_to timestamptz NOT NULL
        );
        COMMENT ON TABLE ml.labels_seen IS
            'How far outcomes have read each label set. One row per label set.';
        COMMENT ON COLUMN ml.labels_seen.seen_up_to IS
            'The greatest recorded_at of the labels that were looked at: what is recorded after it was rebuilt since.';
        INSERT INTO ml.labels_seen (label_set, seen_up_to)
        SELECT 'forward', newest.recorded_at
        FROM (SELECT max(recorded_at) AS recorded_at FROM ml.outcomes) AS newest
        WHERE newest.recorded_at IS NOT NULL;
        GRANT SELECT, INSERT, UPDATE ON ml.labels_seen TO forecastle_worker;

        DROP FUNCTION IF EXISTS ml.declare_model(text, text, integer[], jsonb);
    """)  # noqa: S608 - text of our own


def record_in_order() -> None:
    """Let what is learnt be recorded in the order in which it is committed, in the tables that people write, too.

    A build reads what was recorded since the last one: what is committed later with an earlier moment would be missed.
    """
    op.execute("""
        CREATE FUNCTION market.record_in_order() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
            SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            moment timestamptz;
        BEGIN
            INSERT INTO monitoring.locks (name) VALUES ('market.' || TG_TABLE_NAME) ON CONFLICT (name) DO NOTHING;
            PERFORM FROM monitoring.locks WHERE name = 'market.' || TG_TABLE_NAME FOR UPDATE;
            EXECUTE format('SELECT max(recorded_at) FROM market.%I', TG_TABLE_NAME) INTO moment;
            NEW.recorded_at := greatest(clock_timestamp(), moment + INTERVAL '1 microsecond');
            RETURN NEW;
        END $$;
        COMMENT ON FUNCTION market.record_in_order() IS
            'Whoever writes waits for those before to commit, and is recorded after them.';
        CREATE TRIGGER is_recorded_in_order BEFORE INSERT OR UPDATE ON market.universes
            FOR EACH ROW EXECUTE FUNCTION market.record_in_order();
        CREATE INDEX ON market.universes (recorded_at);
        CREATE INDEX ON market.earnings (recorded_at);
    """)
    op.execute("RESET ROLE")
    op.execute("SET LOCAL ROLE forecastle_dbt")
    op.execute("""
        ALTER TABLE IF EXISTS features.watermarks
            ADD COLUMN source text NOT NULL DEFAULT 'market.bars',
            DROP CONSTRAINT watermarks_pkey,
            ADD PRIMARY KEY (relation, source);
        DO $$ BEGIN
            IF to_regclass('features.watermarks') IS NOT NULL THEN
                COMMENT ON TABLE features.watermarks IS
                    'How far each hypertable of dbt has read each of its sources. One row per hypertable and source.';
            END IF;
        END $$
    """)


def downgrade() -> None:
    """Go back to one label set and to timeframes that are written in the code; what versions say of theirs is lost."""
    op.execute("""
        DROP VIEW IF EXISTS
            analytics.timeframes, analytics.calendar, analytics.symbol_status, analytics.label_history,
            labels.by_horizon, features.decisions, staging.stg_timeframes, staging.stg_calendar;
        DROP FUNCTION IF EXISTS
            ml.declare_model(text, text, integer[], jsonb, text), labels.publish_label_sets(text, jsonb);
        DROP VIEW IF EXISTS labels.vectors, labels.catalog;
        DROP TABLE ml.labels_seen;
        ALTER TABLE ml.versions
            DROP CONSTRAINT each_horizon_has_a_threshold,
            DROP COLUMN label_set, DROP COLUMN label_set_version, DROP COLUMN thresholds;
        DROP TRIGGER is_recorded_in_order ON market.universes;
        DROP FUNCTION market.record_in_order();
        DROP INDEX market.universes_recorded_at_idx, market.earnings_recorded_at_idx;
        DO $$ BEGIN
            IF to_regclass('features.watermarks') IS NOT NULL THEN
                DELETE FROM features.watermarks WHERE source <> 'market.bars';
                ALTER TABLE features.watermarks
                    DROP CONSTRAINT watermarks_pkey, DROP COLUMN source, ADD PRIMARY KEY (relation);
                COMMENT ON TABLE features.watermarks IS
                    'How far each hypertable of dbt has read market.bars. One row per hypertable.';
            END IF;
        END $$;
        DROP VIEW market.calendar;
        DROP TABLE market.timeframes;
        DROP FUNCTION market.is_ascending(integer[]);
    """)
