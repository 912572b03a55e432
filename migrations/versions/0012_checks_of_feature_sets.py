"""Feature sets are checked each by itself, and may have features of the same name.

Revision ID: 0012
Revises: 0011
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let an expectation have a result for each relation that it was asked of."""
    op.execute("SET LOCAL ROLE forecastle_owner")
    op.execute("""
        ALTER TABLE monitoring.symbols_at_fault
            DROP CONSTRAINT symbols_at_fault_run_id_suite_expectation_fkey,
            DROP CONSTRAINT symbols_at_fault_pkey,
            ADD COLUMN relation text;
        ALTER TABLE monitoring.check_results
            DROP CONSTRAINT check_results_pkey,
            ADD PRIMARY KEY (run_id, suite, expectation, relation);
        UPDATE monitoring.symbols_at_fault AS s SET relation = r.relation
        FROM monitoring.check_results AS r
        WHERE s.run_id = r.run_id AND s.suite = r.suite AND s.expectation = r.expectation;
        ALTER TABLE monitoring.symbols_at_fault
            ALTER COLUMN relation SET NOT NULL,
            ADD PRIMARY KEY (run_id, suite, expectation, relation, symbol_id),
            ADD FOREIGN KEY (run_id, suite, expectation, relation) REFERENCES monitoring.check_results ON DELETE CASCADE;
        COMMENT ON TABLE monitoring.symbols_at_fault IS
            'The symbols that a check found fault with. One row per check run, suite, expectation, relation and symbol.';
        COMMENT ON TABLE monitoring.check_results IS 'One row per check run, suite, expectation and relation.';
    """)
    op.execute("RESET ROLE")


def downgrade() -> None:
    """Keep one result of each expectation again, one that failed before one that did not."""
    op.execute("""
        DROP VIEW IF EXISTS analytics.quarantine, analytics.alerts, analytics.data_quality;
        DELETE FROM monitoring.check_results AS r
        USING monitoring.check_results AS other
        WHERE r.run_id = other.run_id AND r.suite = other.suite AND r.expectation = other.expectation
            AND (r.success, r.relation) > (other.success, other.relation);
        ALTER TABLE monitoring.symbols_at_fault
            DROP CONSTRAINT symbols_at_fault_run_id_suite_expectation_relation_fkey,
            DROP CONSTRAINT symbols_at_fault_pkey,
            DROP COLUMN relation;
        ALTER TABLE monitoring.check_results
            DROP CONSTRAINT check_results_pkey,
            ADD PRIMARY KEY (run_id, suite, expectation);
        COMMENT ON TABLE monitoring.check_results IS 'One row per check run, suite and expectation.';
        ALTER TABLE monitoring.symbols_at_fault
            ADD PRIMARY KEY (run_id, suite, expectation, symbol_id),
            ADD FOREIGN KEY (run_id, suite, expectation) REFERENCES monitoring.check_results ON DELETE CASCADE;
        COMMENT ON TABLE monitoring.symbols_at_fault IS
            'The symbols that a check found fault with. One row per check run, suite, expectation and symbol.';
        -- Views on features go with the tables that they are made of.
        DROP FUNCTION IF EXISTS features.publish_feature_sets(text, jsonb), features.vector_at(text, bigint, text, timestamptz);
        DROP VIEW IF EXISTS features.vectors, features.catalog;
    """)
