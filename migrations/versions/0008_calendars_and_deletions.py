"""The calendar of currencies, moves that are confirmed, and what a deletion of bars leaves for the builds to see.

Revision ID: 0008
Revises: 0007
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what the checks and the builds of features read."""
    op.execute("SET LOCAL ROLE forecastle_owner")
    op.execute("""
        -- The newest check of each suite, for the gate before a forecast.
        CREATE INDEX ON monitoring.check_results (timeframe, suite, as_of DESC, checked_at DESC);
        -- The session of a bar: without it a check of 12,154 bars read all sessions for each, and took 39 s.
        CREATE INDEX ON market.sessions (exchange, opens_at);

        CREATE TABLE market.confirmed_moves (
            symbol_id    bigint NOT NULL REFERENCES market.symbols (id),
            timeframe    text NOT NULL,
            ts           timestamptz NOT NULL,
            reason       text NOT NULL CHECK (reason <> ''),
            confirmed_by text NOT NULL DEFAULT session_user,
            confirmed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (symbol_id, timeframe, ts)
        );
        COMMENT ON TABLE market.confirmed_moves IS
            'Moves that look like a split and were real: somebody has looked, and says so. One row per symbol, timeframe and bar.';
        COMMENT ON COLUMN market.confirmed_moves.ts IS 'When the bar opens that is so far from the close before it, UTC.';
        COMMENT ON COLUMN market.confirmed_moves.reason IS 'What happened, for whoever asks later.';
    """)
    # The calendar of currencies had two holidays among its sessions, so that a session was missing for all pairs, and a
    # forecast ended on a day without a bar. Ordinals are consecutive and nothing keeps one: they are counted again. Where
    # somebody has a daily bar of such a day, the session stays: the bar is no less a bar than before.
    op.execute("""
        DELETE FROM market.sessions AS holiday
        WHERE exchange = '24/5'
            AND (extract(month FROM session), extract(day FROM session)) IN ((1, 1), (12, 25))
            AND NOT EXISTS (
                SELECT FROM market.bars AS bar
                JOIN market.symbols AS symbol ON symbol.id = bar.symbol_id
                WHERE symbol.exchange = holiday.exchange AND bar.timeframe = 'd1' AND bar.ts = holiday.opens_at
            );
        -- In two steps, by way of numbers that none has, since no number may be there twice in between.
        UPDATE market.sessions AS kept
        SET ordinal = numbered.ordinal - 10000000
        FROM (
            SELECT session, min(ordinal) OVER () + row_number() OVER (ORDER BY session) - 1 AS ordinal
            FROM market.sessions WHERE exchange = '24/5'
        ) AS numbered
        WHERE kept.exchange = '24/5' AND kept.session = numbered.session;
        UPDATE market.sessions SET ordinal = ordinal + 10000000 WHERE exchange = '24/5';
    """)
    _keep_deleted_bars()
    op.execute("RESET ROLE")


def _keep_deleted_bars() -> None:
    """Keep each bar that is deleted, and let the bars beside it look new, so that the next build goes on from there.

    By statement: the lock that an ingest takes, too, and the moment of the deletion, which is after all that was learnt
    before, as that of an ingest is. By row: the bar itself. Then the bars beside: `recorded_at` is how a build finds what
    it has to compute again, and how it is known that a label is another since its outcome was read.
    """
    columns = "symbol_id, timeframe, ts, open, high, low, close, volume, adj_close, known_at, recorded_at, ingest_id"
    old = ", ".join(f"OLD.{name}" for name in columns.split(", "))
    op.execute("""
        ALTER TABLE market.superseded_bars ADD COLUMN deleted boolean NOT NULL DEFAULT false;
        CREATE INDEX ON market.superseded_bars (superseded_at) WHERE deleted;
        COMMENT ON TABLE market.superseded_bars IS
            'What a correction replaced or a deletion took away. One row per symbol, timeframe, bar, and correction or deletion.';
        COMMENT ON COLUMN market.superseded_bars.deleted IS 'Nothing took its place: somebody deleted it.';
        COMMENT ON COLUMN market.bars.recorded_at IS
            'When this database learnt this version of the bar, or that one beside it is gone.';
    """)
    op.execute(f"""
        CREATE FUNCTION market.begin_deletion() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
            SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            moment timestamptz;
        BEGIN
            INSERT INTO monitoring.locks (name) VALUES ('market.bars') ON CONFLICT (name) DO NOTHING;
            PERFORM FROM monitoring.locks WHERE name = 'market.bars' FOR UPDATE;
            moment := greatest(
                clock_timestamp(), (SELECT max(recorded_at) + INTERVAL '1 microsecond' FROM market.bars),
                (SELECT max(superseded_at) + INTERVAL '1 microsecond' FROM market.superseded_bars WHERE deleted)
            );
            PERFORM set_config('forecastle.deleted_at', moment::text, true);
            IF TG_OP = 'TRUNCATE' THEN
                INSERT INTO market.superseded_bars ({columns}, superseded_at, deleted)
                SELECT {columns}, moment, true FROM market.bars;
            END IF;
            RETURN NULL;
        END $$;

        CREATE FUNCTION market.keep_deleted_bar() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
            SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            IF coalesce(current_setting('forecastle.deleted_at', true), '') = '' THEN
                RAISE EXCEPTION 'bars are deleted from market.bars, not from a chunk of it';
            END IF;
            INSERT INTO market.superseded_bars ({columns}, superseded_at, deleted)
            VALUES ({old}, current_setting('forecastle.deleted_at')::timestamptz, true);
            RETURN NULL;
        END $$;

        CREATE FUNCTION market.end_deletion() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
            SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            moment CONSTANT timestamptz := current_setting('forecastle.deleted_at');
            gone record;
            series text := '';
            next_ts timestamptz;
            last_ts timestamptz;
        BEGIN
            FOR gone IN
                SELECT symbol_id, timeframe, ts, symbol_id || ' ' || timeframe AS series FROM market.superseded_bars
                WHERE deleted AND superseded_at = moment ORDER BY symbol_id, timeframe, ts
            LOOP
                -- The bars of one gap have the same bar after them.
                CONTINUE WHEN gone.series = series AND gone.ts < next_ts;
                series := gone.series;
                SELECT min(ts) INTO next_ts FROM market.bars
                WHERE symbol_id = gone.symbol_id AND timeframe = gone.timeframe AND ts > gone.ts;
                IF next_ts IS NULL THEN
                    next_ts := 'infinity';
                    SELECT max(ts) INTO last_ts FROM market.bars
                    WHERE symbol_id = gone.symbol_id AND timeframe = gone.timeframe AND ts < gone.ts;
                END IF;
                UPDATE market.bars SET recorded_at = moment
                WHERE symbol_id = gone.symbol_id AND timeframe = gone.timeframe
                    AND ts = CASE WHEN next_ts < 'infinity' THEN next_ts ELSE last_ts END;
            END LOOP;
            RETURN NULL;
        END $$;

        CREATE TRIGGER begins_deletion BEFORE DELETE OR TRUNCATE ON market.bars
            FOR EACH STATEMENT EXECUTE FUNCTION market.begin_deletion();
        CREATE TRIGGER is_kept AFTER DELETE ON market.bars FOR EACH ROW EXECUTE FUNCTION market.keep_deleted_bar();
        CREATE TRIGGER ends_deletion AFTER DELETE ON market.bars
            FOR EACH STATEMENT EXECUTE FUNCTION market.end_deletion();
    """)  # noqa: S608 - names of our own


def downgrade() -> None:
    """Take it away again. The calendar of currencies stays as it is: it extends itself."""
    op.execute("""
        DROP TRIGGER begins_deletion ON market.bars;
        DROP TRIGGER is_kept ON market.bars;
        DROP TRIGGER ends_deletion ON market.bars;
        DROP FUNCTION market.begin_deletion, market.keep_deleted_bar, market.end_deletion;
        ALTER TABLE market.superseded_bars DROP COLUMN deleted;
        DROP TABLE market.confirmed_moves;
        DROP INDEX monitoring.check_results_timeframe_suite_as_of_checked_at_idx;
        DROP INDEX market.sessions_exchange_opens_at_idx;
    """)
