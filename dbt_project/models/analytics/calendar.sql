select
    rule,
    exchange,
    session,
    opens_at,
    closes_at,
    ordinal
from {{ ref('stg_calendar') }}
