"""What is taken in may be of any kind, and lists of symbols keep what a correction of theirs replaces.

Revision ID: 0015
Revises: 0014
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let an ingest be of any kind that is a name, and make the table of what was superseded."""
    op.execute("SET LOCAL ROLE forecastle_owner")
    op.execute("""
        ALTER TABLE market.ingests
            DROP CONSTRAINT ingests_kind_check,
            ADD CONSTRAINT ingests_kind_check CHECK (kind ~ '^[a-z][a-z_]*$');
        COMMENT ON COLUMN market.ingests.kind IS 'What was taken in: bars, or the table of market that it went into.';

        CREATE TABLE market.superseded_universes (LIKE market.universes, superseded_at timestamptz NOT NULL);
        COMMENT ON TABLE market.superseded_universes IS
            'What a correction replaced. One row per list, symbol, stay and correction.';
        GRANT SELECT ON market.superseded_universes TO forecastle_worker, forecastle_dbt;
        GRANT INSERT ON market.superseded_universes TO forecastle_worker;
    """)
    op.execute("RESET ROLE")


def downgrade() -> None:
    """Allow bars and earnings alone; that something else was taken in, or superseded, is forgotten."""
    op.execute("""
        DROP TABLE market.superseded_universes;
        DELETE FROM market.rejects AS r USING market.ingests AS i
        WHERE i.id = r.ingest_id AND i.kind NOT IN ('bars', 'earnings');
        DELETE FROM market.ingests WHERE kind NOT IN ('bars', 'earnings');
        ALTER TABLE market.ingests
            DROP CONSTRAINT ingests_kind_check,
            ADD CONSTRAINT ingests_kind_check CHECK (kind IN ('bars', 'earnings'));
        COMMENT ON COLUMN market.ingests.kind IS NULL;
    """)
