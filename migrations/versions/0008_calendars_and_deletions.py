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
    op.execute("RESET ROLE")


def downgrade() -> None:
    """Take it away again."""
    op.execute("""
        DROP TABLE market.confirmed_moves;
        DROP INDEX monitoring.check_results_timeframe_suite_as_of_checked_at_idx;
    """)
