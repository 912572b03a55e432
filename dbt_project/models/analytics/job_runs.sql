select
    job,
    as_of,
    state,
    attempt,
    started_at,
    finished_at,
    error,
    scheduled,
    subject
from {{ source('monitoring', 'job_runs') }}
