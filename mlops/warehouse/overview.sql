-- What there is in the database, at a glance. Grain: one row. `bars` is an estimate from the table's statistics.
SELECT
    current_setting('server_version') AS postgresql,
    (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb') AS timescaledb,
    pg_database_size(current_database()) AS size_bytes,
    (SELECT count(*) FROM market.symbols) AS symbols,
    public.approximate_row_count('market.bars') AS bars,
    (SELECT bar.ts FROM market.bars AS bar ORDER BY bar.ts DESC LIMIT 1) AS newest_bar,
    (
        SELECT coalesce(array_agg(model || ' v' || version ORDER BY model), '{}')
        FROM ml.serving WHERE role = 'production'
    ) AS production
