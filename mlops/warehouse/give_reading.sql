-- Let the worker read what dbt derives, and the analyst what is for people: what is there and what is yet to come. Any
-- member of a role can throw away what it is to read of what is yet to come: DROP OWNED BY forecastle_analyst.
-- No rows. Run again it changes nothing.
DO $$
DECLARE
    reading record;
    relation regclass;
BEGIN
    FOR reading IN
        SELECT n.oid AS schema, n.nspname AS schema_name, pg_get_userbyid(n.nspowner) AS owner, wanted.reader
        FROM (
            VALUES
            ('staging', 'forecastle_worker'),
            ('features', 'forecastle_worker'),
            ('labels', 'forecastle_worker'),
            ('analytics', 'forecastle_worker'),
            ('analytics', 'forecastle_analyst')
        ) AS wanted (schema_name, reader)
        INNER JOIN pg_namespace AS n ON n.nspname = wanted.schema_name
        WHERE pg_has_role(n.nspowner, 'USAGE')
    LOOP
        EXECUTE format(
            'ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT SELECT ON TABLES TO %I',
            reading.owner, reading.schema_name, reading.reader
        );
        FOR relation IN
            SELECT c.oid
            FROM pg_class AS c
            WHERE
                c.relnamespace = reading.schema
                AND c.relkind IN ('r', 'v', 'p', 'm')
                AND pg_has_role(c.relowner, 'USAGE')
                AND NOT has_table_privilege(reading.reader, c.oid, 'SELECT')
        LOOP
            EXECUTE format('GRANT SELECT ON %s TO %I', relation, reading.reader);
        END LOOP;
    END LOOP;
END $$
