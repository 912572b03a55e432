select
    runs.run_id,
    runs.model,
    runs.version,
    versions.candidate,
    runs.role,
    runs.as_of,
    runs.status,
    runs.finished_at,
    runs.seconds,
    runs.scoring_seconds,
    runs.n_symbols,
    runs.n_made,
    runs.n_present,
    runs.n_refused,
    runs.error,
    runs.provider,
    runs.packages
from {{ source('ml', 'forecast_runs') }} as runs
inner join {{ source('ml', 'versions') }} as versions on runs.model = versions.model and runs.version = versions.version
