"""What a deletion of bars leaves for the builds of features to see; moves that are confirmed; what the gate reads.

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
        GRANT SELECT ON market.confirmed_moves TO forecastle_worker;
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
    op.execute("RESET ROLE")


def downgrade() -> None:
    """Take it away again. The calendar of currencies stays as it is: it extends itself."""
    op.execute("""
        DROP TABLE market.confirmed_moves;
        DROP INDEX monitoring.check_results_timeframe_suite_as_of_checked_at_idx;
        DROP INDEX market.sessions_exchange_opens_at_idx;
    """)
