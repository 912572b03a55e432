select
    versions.model,
    versions.version,
    stages.stage,
    versions.created_at,
    components.sha256,
    components.format,
    artifacts.size_bytes,
    inputs.feature_set_version,
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
    components.parity as parity_max_abs_diff,
    versions.candidate,
    versions.label,
    inputs.feature_set,
    versions.n_symbols,
    specs.document as specification,
    versions.label_set,
    versions.label_set_version,
    versions.thresholds
from {{ source('ml', 'versions') }} as versions
inner join {{ source('ml', 'specs') }} as specs on versions.spec_sha256 = specs.sha256
inner join {{ source('ml', 'version_inputs') }} as inputs
    on versions.model = inputs.model and versions.version = inputs.version
inner join {{ source('ml', 'components') }} as components
    on versions.model = components.model and versions.version = components.version and components.format = 'onnx'
inner join {{ source('ml', 'artifacts') }} as artifacts on components.sha256 = artifacts.sha256
left join lateral (
    select string_agg(aliases.alias, ', ' order by aliases.alias) as stage
    from {{ source('ml', 'aliases') }} as aliases
    where aliases.model = versions.model and aliases.version = versions.version
) as stages on true
