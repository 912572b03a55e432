select
    symbol_id,
    date as announced_on,
    quarter,
    eps_estimate,
    eps_actual,
    release,
    ts,
    known_at,
    recorded_at
from {{ source('market', 'earnings') }}
