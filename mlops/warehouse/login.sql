-- What the login that migrates has: whether it is a superuser, whose the database is, whether TimescaleDB is there.
-- One row.
SELECT
    current_user AS login,
    current_database() AS database,
    pg_get_userbyid(here.datdba) AS database_owner,
    pg_has_role(here.datdba, 'USAGE') AS owns_database,
    EXISTS (SELECT FROM pg_roles WHERE rolname = current_user AND rolsuper) AS is_superuser,
    EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb') AS timescaledb_is_available,
    EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') AS timescaledb_is_there,
    coalesce(
        (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'),
        (SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb')
    ) AS timescaledb_version
FROM pg_catalog.pg_database AS here
WHERE here.datname = current_database()
