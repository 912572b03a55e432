select
    rule,
    exchange,
    session,
    opens_at,
    closes_at,
    ordinal
from {{ source('market', 'calendar') }}
