"""Runs that were due and did not happen, and since when what is due.

Revision ID: 0007
Revises: 0006
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Tell runs of the schedule from those by hand, let a row say that a run was missed, and keep the schedule."""
    op.execute("SET LOCAL ROLE forecastle_owner")
    op.execute("""
        ALTER TABLE monitoring.job_runs
            ADD COLUMN scheduled boolean NOT NULL DEFAULT false,
            DROP CONSTRAINT job_runs_state_check,
            ADD CONSTRAINT job_runs_state_check
                CHECK (state IN ('running', 'succeeded', 'failed', 'abandoned', 'missed')),
            ADD CONSTRAINT job_runs_missed_check CHECK (state <> 'missed' OR scheduled);
        COMMENT ON COLUMN monitoring.job_runs.scheduled IS
            'Whether the daemon ran it because it was due; the as-of is then the moment at which it was.';
        COMMENT ON COLUMN monitoring.job_runs.state IS
            'missed: it was due, and no attempt at it ended. Such a row is written once, when that is found out.';

        CREATE TABLE monitoring.schedules (
            job     text NOT NULL,
            since   timestamptz NOT NULL,
            crontab text NOT NULL,
            PRIMARY KEY (job, since)
        );
        COMMENT ON TABLE monitoring.schedules IS
            'When each job has been due, so that what was missed is known. One row per job and change of its schedule.';
        COMMENT ON COLUMN monitoring.schedules.since IS 'When a daemon first ran by this expression; nothing was due before.';
        COMMENT ON COLUMN monitoring.schedules.crontab IS 'Minute, hour, day of month, month, weekday; UTC.';
        GRANT SELECT, INSERT ON monitoring.schedules TO forecastle_worker;
    """)
    op.execute("RESET ROLE")


def downgrade() -> None:
    """Forget what was missed. dbt makes the views again that go with it."""
    op.execute("""
        DROP VIEW IF EXISTS analytics.alerts, analytics.schedule, analytics.job_runs;
        DROP TABLE monitoring.schedules;
        DELETE FROM monitoring.job_runs WHERE state = 'missed';
        ALTER TABLE monitoring.job_runs
            DROP CONSTRAINT job_runs_missed_check,
            DROP COLUMN scheduled,
            DROP CONSTRAINT job_runs_state_check,
            ADD CONSTRAINT job_runs_state_check CHECK (state IN ('running', 'succeeded', 'failed', 'abandoned'));
    """)
