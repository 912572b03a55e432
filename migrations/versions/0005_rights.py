"""What each role may do: dbt's own role, locks that only jobs can take, times and names that the database sets.

Revision ID: 0005
Revises: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

DERIVED = ("staging", "features", "labels", "analytics")


def upgrade() -> None:
    """Give what dbt derives to a role of its own, and leave the worker what it has to write."""
    hand_over("forecastle_owner", "forecastle_dbt")
    op.execute("""
        DO $$ BEGIN
            EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO forecastle_dbt', current_database());
        END $$
    """)
    # Whoever may act as the owner may migrate, and every job asks which revision there is.
    op.execute("GRANT SELECT ON public.alembic_version TO forecastle_dbt, forecastle_worker")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON public.alembic_version TO forecastle_owner")
    op.execute("SET LOCAL ROLE forecastle_owner")
    op.execute("""
        CREATE TABLE monitoring.locks (name text PRIMARY KEY CHECK (name <> ''));
        COMMENT ON TABLE monitoring.locks IS
            'What only one may work on at a time, held as the lock of a row. One row per name, whether it is held or not.';
        GRANT SELECT, INSERT, UPDATE ON monitoring.locks TO forecastle_worker, forecastle_dbt;

        GRANT USAGE ON SCHEMA market, ml, monitoring TO forecastle_dbt;
        GRANT SELECT ON ALL TABLES IN SCHEMA market, ml, monitoring TO forecastle_dbt;
        ALTER DEFAULT PRIVILEGES IN SCHEMA market, ml, monitoring
            GRANT SELECT ON TABLES TO forecastle_dbt, forecastle_worker;

        -- When something was made, and who moved an alias, is for the database to say: no such column can be written.
        REVOKE INSERT ON ml.artifacts, ml.versions, ml.alias_moves, ml.predictions FROM forecastle_worker;
        GRANT INSERT (sha256, format, bytes) ON ml.artifacts TO forecastle_worker;
        GRANT INSERT (
            model, version, run_id, sha256, family, timeframe, horizons, features, feature_set_version, data_from, data_to,
            data_fingerprint, split, seed, hyperparameters, packages, code_revision, metrics, parity_max_abs_diff
        ) ON ml.versions TO forecastle_worker;
        GRANT INSERT (model, alias, to_version, reason) ON ml.alias_moves TO forecastle_worker;
        GRANT INSERT (
            model, version, symbol_id, timeframe, horizon, as_of, ts, target_ts, p10, p50, p90,
            direction, probability_bullish, probability_neutral, probability_bearish
        ) ON ml.predictions TO forecastle_worker;
        -- One moment for all forecasts of a run.
        ALTER TABLE ml.predictions ALTER COLUMN made_at SET DEFAULT statement_timestamp();
    """)
    op.execute("RESET ROLE")


def downgrade() -> None:
    """Take it all back; the role stays, since other databases of the server may use it."""
    op.execute("SET LOCAL ROLE forecastle_owner")
    op.execute("""
        ALTER TABLE ml.predictions ALTER COLUMN made_at SET DEFAULT clock_timestamp();
        GRANT INSERT ON ml.artifacts, ml.versions, ml.alias_moves, ml.predictions TO forecastle_worker;
        ALTER DEFAULT PRIVILEGES IN SCHEMA market, ml, monitoring
            REVOKE SELECT ON TABLES FROM forecastle_dbt, forecastle_worker;
        DROP TABLE monitoring.locks;
        REVOKE SELECT ON ALL TABLES IN SCHEMA market, ml, monitoring FROM forecastle_dbt;
        REVOKE USAGE ON SCHEMA market, ml, monitoring FROM forecastle_dbt;
    """)
    op.execute("RESET ROLE")
    op.execute("REVOKE ALL ON public.alembic_version FROM forecastle_owner, forecastle_dbt, forecastle_worker")
    hand_over("forecastle_dbt", "forecastle_owner")


def hand_over(giver: str, taker: str) -> None:
    """Let the schemas that dbt fills, and all that is in them, belong to `taker`."""
    schemas = ", ".join(f"'{schema}'" for schema in DERIVED)
    op.execute(f"""
        DO $$
        DECLARE
            statement text;
        BEGIN
            FOR statement IN
                SELECT format('ALTER SCHEMA %I OWNER TO {taker}', nspname)
                FROM pg_namespace WHERE nspname IN ({schemas})
                UNION ALL
                SELECT format('ALTER %s %s OWNER TO {taker}', CASE relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, oid::regclass)
                FROM pg_class WHERE relnamespace::regnamespace::text IN ({schemas}) AND relkind IN ('r', 'v')
                UNION ALL
                SELECT format('ALTER FUNCTION %s OWNER TO {taker}', oid::regprocedure)
                FROM pg_proc WHERE pronamespace::regnamespace::text IN ({schemas})
            LOOP
                EXECUTE statement;
            END LOOP;
        END $$
    """)  # noqa: S608 - names of our own
    op.execute(f"""
        ALTER DEFAULT PRIVILEGES FOR ROLE {giver} IN SCHEMA {", ".join(DERIVED)}
            REVOKE SELECT ON TABLES FROM forecastle_worker;
        ALTER DEFAULT PRIVILEGES FOR ROLE {giver} IN SCHEMA analytics REVOKE SELECT ON TABLES FROM forecastle_analyst;
        ALTER DEFAULT PRIVILEGES FOR ROLE {taker} IN SCHEMA {", ".join(DERIVED)}
            GRANT SELECT ON TABLES TO forecastle_worker;
        ALTER DEFAULT PRIVILEGES FOR ROLE {taker} IN SCHEMA analytics GRANT SELECT ON TABLES TO forecastle_analyst;
    """)  # noqa: S608 - names of our own
