-- Of :roles, which are there, and which may the login act as (from PostgreSQL 16 on that is a right of its own)?
-- One row per role.
SELECT
    wanted.name,
    role.oid IS NOT NULL AS is_there,
    coalesce(
        pg_has_role(role.oid, 'USAGE')
        AND pg_has_role(role.oid, CASE WHEN current_setting('server_version_num')::integer >= 160000
            THEN 'SET' ELSE 'MEMBER' END),
        false
    ) AS is_ours
FROM unnest(CAST(:roles AS text [])) AS wanted (name)
LEFT JOIN pg_catalog.pg_roles AS role ON role.rolname = wanted.name
