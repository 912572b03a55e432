"""A prediction that cannot be is refused by its table.

Revision ID: 0006
Revises: 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# NaN is above infinity in PostgreSQL and equals itself, so it passes p10 <= p50 <= p90, and fails what stands here.
RETURNS = "p10 > -1 AND p90 < 'Infinity'"
PROBABILITIES = "probability_bullish BETWEEN 0 AND 1 AND probability_neutral BETWEEN 0 AND 1 AND probability_bearish BETWEEN 0 AND 1"


def upgrade() -> None:
    """Hold every prediction to returns and probabilities that there can be, those that are there already as well."""
    op.execute("SET LOCAL ROLE forecastle_owner")
    found = f"""
        DO $$
        DECLARE
            impossible CONSTANT text := $c$NOT ({RETURNS} AND {PROBABILITIES})$c$;
            n bigint;
        BEGIN
            EXECUTE 'SELECT count(*) FROM ml.predictions WHERE ' || impossible INTO n;
            IF n > 0 THEN
                RAISE EXCEPTION '% rows of ml.predictions are impossible. Nothing was changed. As the owner: '
                    'DELETE FROM ml.predictions WHERE %', n, impossible;
            END IF;
        END $$
    """  # noqa: S608 - text of our own
    op.execute(found)
    op.execute(f"""
        ALTER TABLE ml.predictions ADD CONSTRAINT returns_can_be CHECK ({RETURNS});
        ALTER TABLE ml.predictions ADD CONSTRAINT probabilities_can_be CHECK ({PROBABILITIES});
        COMMENT ON COLUMN ml.predictions.p10 IS
            'Of ten forward returns over the horizon nine should be above it; as a fraction, above -1.';
        COMMENT ON COLUMN ml.predictions.p90 IS 'Of ten forward returns over the horizon nine should be below it; as a fraction.';
    """)
    op.execute("RESET ROLE")


def downgrade() -> None:
    """Let the table take anything again."""
    op.execute("""
        ALTER TABLE ml.predictions DROP CONSTRAINT returns_can_be;
        ALTER TABLE ml.predictions DROP CONSTRAINT probabilities_can_be;
        COMMENT ON COLUMN ml.predictions.p10 IS NULL;
        COMMENT ON COLUMN ml.predictions.p90 IS NULL;
    """)
