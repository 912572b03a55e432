select
    versions.model,
    versions.version,
    stages.stage,
    versions.created_at,
    versions.sha256,
    artifacts.format,
    artifacts.size_bytes,
    versions.feature_set_version,
    versions.data_from,
    versions.data_to,
    versions.metrics,
    versions.run_id,
    versions.family,
    versions.timeframe,
    versions.horizons,
    versions.hyperparameters,
    versions.seed,
    versions.code_revision,
    versions.parity_max_abs_diff
from {{ source('ml', 'versions') }} as versions
inner join {{ source('ml', 'artifacts') }} as artifacts on versions.sha256 = artifacts.sha256
left join lateral (
    select string_agg(aliases.alias, ', ' order by aliases.alias) as stage
    from {{ source('ml', 'aliases') }} as aliases
    where aliases.model = versions.model and aliases.version = versions.version
) as stages on true
