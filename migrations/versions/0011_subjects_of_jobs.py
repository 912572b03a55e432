"""A job may have subjects, such as the specification that it trains: each has runs of its own.

Revision ID: 0011
Revises: 0010
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let a run say what it was about, and let the attempts of each subject be counted by themselves."""
    op.execute("SET LOCAL ROLE forecastle_owner")
    op.execute("""
        ALTER TABLE monitoring.job_runs
            ADD COLUMN subject text NOT NULL DEFAULT '',
            DROP CONSTRAINT job_runs_pkey,
            ADD PRIMARY KEY (job, subject, as_of, attempt);
        COMMENT ON TABLE monitoring.job_runs IS 'One row per job, subject, as-of and attempt.';
        COMMENT ON COLUMN monitoring.job_runs.subject IS
            'What the job was about: the specification that was trained, the timeframe that was checked; empty where it is '
            'about all there is.';
    """)
    op.execute("RESET ROLE")


def downgrade() -> None:
    """Count the attempts of all subjects of a job together again."""
    op.execute("""
        DROP VIEW IF EXISTS analytics.alerts, analytics.schedule, analytics.job_runs;
        ALTER TABLE monitoring.job_runs DROP CONSTRAINT job_runs_pkey;
        UPDATE monitoring.job_runs AS r
        SET attempt = numbered.nth
        FROM (
            SELECT job, subject, as_of, attempt,
                row_number() OVER (PARTITION BY job, as_of ORDER BY started_at, subject, attempt) AS nth
            FROM monitoring.job_runs
        ) AS numbered
        WHERE (r.job, r.subject, r.as_of, r.attempt)
            = (numbered.job, numbered.subject, numbered.as_of, numbered.attempt);
        ALTER TABLE monitoring.job_runs DROP COLUMN subject, ADD PRIMARY KEY (job, as_of, attempt);
        COMMENT ON TABLE monitoring.job_runs IS 'One row per job, as-of and attempt.';
    """)
