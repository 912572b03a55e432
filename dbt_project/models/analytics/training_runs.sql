select
    runs.run_id,
    runs.model,
    versions.version,
    runs.status,
    runs.started_at,
    runs.finished_at,
    runs.n_train,
    runs.n_validation,
    runs.n_test,
    runs.metrics,
    runs.error,
    runs.as_of,
    runs.n_excluded
from {{ source('ml', 'runs') }} as runs
left join {{ source('ml', 'versions') }} as versions on runs.run_id = versions.run_id
