select
    models.model,
    models.timeframe,
    models.situation,
    models.target,
    models.horizons,
    models.universe,
    models.created_at,
    (
        select array_agg(distinct versions.candidate order by versions.candidate)
        from {{ source('ml', 'versions') }} as versions
        where models.model = versions.model
    ) as candidates,
    (
        select serving.version
        from {{ source('ml', 'serving') }} as serving
        where models.model = serving.model and serving.role = 'production'
    ) as production_version,
    (
        select array_agg(serving.version order by serving.version)
        from {{ source('ml', 'serving') }} as serving
        where models.model = serving.model and serving.role = 'challenger'
    ) as challengers
from {{ source('ml', 'models') }} as models
