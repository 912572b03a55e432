"""What is taken in may be of any kind: a new one adds a table, and leaves this one as it is.

Revision ID: 0015
Revises: 0014
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let an ingest be of any kind that is a name."""
    op.execute("SET LOCAL ROLE forecastle_owner")
    op.execute("""
        ALTER TABLE market.ingests
            DROP CONSTRAINT ingests_kind_check,
            ADD CONSTRAINT ingests_kind_check CHECK (kind ~ '^[a-z][a-z_]*$');
        COMMENT ON COLUMN market.ingests.kind IS 'What was taken in: bars, or the table of market that it went into.';
    """)
    op.execute("RESET ROLE")


def downgrade() -> None:
    """Allow bars and earnings alone; that something else was taken in is forgotten."""
    op.execute("""
        DELETE FROM market.rejects AS r USING market.ingests AS i
        WHERE i.id = r.ingest_id AND i.kind NOT IN ('bars', 'earnings');
        DELETE FROM market.ingests WHERE kind NOT IN ('bars', 'earnings');
        ALTER TABLE market.ingests
            DROP CONSTRAINT ingests_kind_check,
            ADD CONSTRAINT ingests_kind_check CHECK (kind IN ('bars', 'earnings'));
        COMMENT ON COLUMN market.ingests.kind IS NULL;
    """)
