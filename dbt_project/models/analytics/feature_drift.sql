select
    model,
    version,
    feature,
    day,
    psi,
    n_reference,
    n_current,
    state,
    measured_at
from {{ source('monitoring', 'feature_drift') }}
