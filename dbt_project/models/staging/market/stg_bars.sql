select
    symbol_id,
    timeframe,
    ts,
    known_at,
    recorded_at,
    {{ adjusted_price('open') }} as open,
    {{ adjusted_price('high') }} as high,
    {{ adjusted_price('low') }} as low,
    {{ adjusted_price('close') }} as close,
    {{ adjusted_volume('volume') }} as volume
from {{ source('market', 'bars') }}
