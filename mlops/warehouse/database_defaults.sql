-- What the sessions of this database begin with, whoever logs in, as name=value.
-- One row per setting.
SELECT unnest(setting.setconfig) AS setting
FROM pg_catalog.pg_db_role_setting AS setting
INNER JOIN pg_catalog.pg_database AS here ON here.oid = setting.setdatabase
WHERE here.datname = current_database() AND setting.setrole = 0
