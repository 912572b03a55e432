select
    run_id,
    suite,
    expectation,
    relation,
    success,
    observed,
    rows_at_fault,
    checked_at,
    as_of,
    why,
    query,
    timeframe,
    quarantined
from {{ source('monitoring', 'check_results') }}
