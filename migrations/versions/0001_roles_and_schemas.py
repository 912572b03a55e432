"""Roles, schemas and the extension: who may do what, before there is anything to do it to.

Revision ID: 0001
Revises:
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the three roles (shared by all databases of a server), the schemas and the search path."""
    op.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    # Roles belong to the server, not to the database: two databases may be migrated at the same moment.
    op.execute("""
        DO $$
        DECLARE r text;
        BEGIN
            PERFORM pg_advisory_xact_lock(hashtext('forecastle.roles'));
            FOREACH r IN ARRAY ARRAY['forecastle_owner', 'forecastle_worker', 'forecastle_analyst'] LOOP
                IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r) THEN
                    BEGIN
                        EXECUTE format('CREATE ROLE %I NOLOGIN', r);
                    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
                    END;
                END IF;
            END LOOP;
        END $$
    """)
    op.execute("""
        DO $$
        BEGIN
            -- What everybody may do by default would let an analyst make temporary tables.
            EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
            EXECUTE format('GRANT CREATE, CONNECT, TEMPORARY ON DATABASE %I TO forecastle_owner', current_database());
            EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO forecastle_worker', current_database());
            EXECUTE format('GRANT CONNECT ON DATABASE %I TO forecastle_analyst', current_database());
        END $$
    """)
    for schema in ("market", "staging", "features", "labels", "ml", "monitoring", "analytics"):
        op.execute(f"CREATE SCHEMA {schema} AUTHORIZATION forecastle_owner")
        op.execute(f"GRANT USAGE ON SCHEMA {schema} TO forecastle_worker")
    op.execute("GRANT USAGE ON SCHEMA analytics TO forecastle_analyst")
    op.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")

    # What dbt derives is read by the worker; what it derives for people is read by the analyst, too.
    for schema in ("staging", "features", "labels", "analytics"):
        op.execute(
            f"ALTER DEFAULT PRIVILEGES FOR ROLE forecastle_owner IN SCHEMA {schema} "
            "GRANT SELECT ON TABLES TO forecastle_worker"
        )
    op.execute(
        "ALTER DEFAULT PRIVILEGES FOR ROLE forecastle_owner IN SCHEMA analytics "
        "GRANT SELECT ON TABLES TO forecastle_analyst"
    )


def downgrade() -> None:
    """Drop the schemas; the roles stay, since other databases of the server may use them."""
    for schema in ("analytics", "monitoring", "ml", "labels", "features", "staging", "market"):
        op.execute(f"DROP SCHEMA {schema} CASCADE")
