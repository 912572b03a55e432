"""How it is going: check results, drift, alerts and job runs.

Revision ID: 0004
Revises: 0003
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of schema monitoring."""
    op.execute("SET LOCAL ROLE forecastle_owner")
    op.execute("""
        CREATE TABLE monitoring.check_results (
            run_id       uuid NOT NULL,
            suite        text NOT NULL,
            expectation  text NOT NULL,
            relation     text NOT NULL,
            timeframe    text NOT NULL,
            as_of        timestamptz NOT NULL,
            success      boolean NOT NULL,
            observed     text,
            rows_at_fault bigint NOT NULL,
            why          text NOT NULL,
            query        text,
            checked_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (run_id, suite, expectation)
        );
        CREATE INDEX ON monitoring.check_results (checked_at);
        COMMENT ON TABLE monitoring.check_results IS 'One row per check run, suite and expectation.';
        COMMENT ON COLUMN monitoring.check_results.query IS 'The SQL that shows the rows at fault.';

        CREATE TABLE monitoring.feature_drift (
            model       text NOT NULL,
            version     integer NOT NULL,
            feature     text NOT NULL,
            day         date NOT NULL,
            psi         double precision,
            n_reference bigint NOT NULL,
            n_current   bigint NOT NULL,
            state       text NOT NULL CHECK (state IN ('insufficient', 'normal', 'monitor', 'alert')),
            measured_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (model, version, feature, day)
        );
        COMMENT ON TABLE monitoring.feature_drift IS
            'Population stability index. One row per version, feature (or prediction, named like p50_h5) and day.';

        CREATE TABLE monitoring.drift (
            model             text NOT NULL,
            version           integer NOT NULL,
            symbol_id         bigint NOT NULL,
            timeframe         text NOT NULL,
            day               date NOT NULL,
            accuracy          double precision,
            n_predictions     bigint NOT NULL,
            baseline_accuracy double precision NOT NULL,
            drift_margin      double precision,
            drift_detected    boolean NOT NULL,
            state             text NOT NULL CHECK (state IN ('insufficient', 'normal', 'monitor', 'alert', 'emergency')),
            created_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (model, version, symbol_id, timeframe, day)
        );
        COMMENT ON TABLE monitoring.drift IS
            'Realised accuracy against the validation baseline. One row per version, symbol, timeframe and day.';

        CREATE TABLE monitoring.job_runs (
            job         text NOT NULL,
            as_of       timestamptz NOT NULL,
            attempt     integer NOT NULL CHECK (attempt > 0),
            state       text NOT NULL CHECK (state IN ('running', 'succeeded', 'failed', 'abandoned')),
            started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
            finished_at timestamptz,
            error       text,
            PRIMARY KEY (job, as_of, attempt),
            CHECK ((state = 'running') = (finished_at IS NULL))
        );
        CREATE INDEX ON monitoring.job_runs (started_at);
        COMMENT ON TABLE monitoring.job_runs IS 'One row per job, as-of and attempt.';

        GRANT SELECT ON ALL TABLES IN SCHEMA monitoring TO forecastle_worker;
        GRANT INSERT, UPDATE ON monitoring.job_runs, monitoring.feature_drift, monitoring.drift TO forecastle_worker;
        GRANT INSERT, UPDATE ON monitoring.check_results TO forecastle_worker;
    """)
    op.execute("RESET ROLE")


def downgrade() -> None:
    """Drop the tables of schema monitoring."""
    op.execute("DROP TABLE monitoring.job_runs, monitoring.drift, monitoring.feature_drift, monitoring.check_results")
