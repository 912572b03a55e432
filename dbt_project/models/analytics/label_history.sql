select
    labels.symbol_id,
    symbols.ticker,
    labels.timeframe,
    labels.ts,
    labels.as_of,
    {% for horizon in horizons() -%}
    labels.forward_return_{{ horizon }},
    labels.direction_{{ horizon }},
    labels.known_at_{{ horizon }},
    {% endfor -%}
    labels.recorded_at
from {{ ref('forward') }} as labels
inner join {{ ref('stg_symbols') }} as symbols on labels.symbol_id = symbols.symbol_id
