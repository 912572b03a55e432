"""Which symbols the checks found fault with, so that one bad symbol does not stop all.

Revision ID: 0009
Revises: 0008
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let a check say that its fault is one of a few symbols, and name them."""
    op.execute("SET LOCAL ROLE forecastle_owner")
    op.execute("""
        ALTER TABLE monitoring.check_results
            ADD COLUMN quarantined boolean NOT NULL DEFAULT false,
            ADD CONSTRAINT check_results_quarantined_check CHECK (NOT (success AND quarantined));
        COMMENT ON COLUMN monitoring.check_results.quarantined IS
            'Whether the rows at fault are of so few symbols that these are left out and the gate stays open.';

        CREATE TABLE monitoring.symbols_at_fault (
            run_id        uuid NOT NULL,
            suite         text NOT NULL,
            expectation   text NOT NULL,
            symbol_id     bigint NOT NULL,
            rows_at_fault bigint NOT NULL CHECK (rows_at_fault > 0),
            PRIMARY KEY (run_id, suite, expectation, symbol_id),
            FOREIGN KEY (run_id, suite, expectation) REFERENCES monitoring.check_results ON DELETE CASCADE
        );
        COMMENT ON TABLE monitoring.symbols_at_fault IS
            'The symbols that a check found fault with. One row per check run, suite, expectation and symbol.';
        GRANT SELECT, INSERT, DELETE ON monitoring.symbols_at_fault TO forecastle_worker;
        GRANT SELECT ON monitoring.symbols_at_fault TO forecastle_dbt;

        ALTER FUNCTION ml.refuse_change() SET search_path = pg_catalog, pg_temp;
    """)
    op.execute("RESET ROLE")


def downgrade() -> None:
    """Forget the symbols; a fault of one closes the gate again. dbt makes the views again that go with it."""
    op.execute("""
        DROP VIEW IF EXISTS
            analytics.quarantine, analytics.alerts, analytics.schedule, analytics.job_runs, analytics.data_quality;
        DROP TABLE monitoring.symbols_at_fault;
        ALTER FUNCTION ml.refuse_change() RESET search_path;
        ALTER TABLE monitoring.check_results
            DROP CONSTRAINT check_results_quarantined_check,
            DROP COLUMN quarantined;
    """)
