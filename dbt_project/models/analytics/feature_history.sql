select
    features.symbol_id,
    symbols.ticker,
    features.timeframe,
    features.ts,
    features.as_of,
    features.feature_set_version,
    {% for name in feature_names() -%}
    features.{{ name }},
    {% endfor -%}
    features.known_at,
    features.recorded_at
from {{ ref('technical') }} as features
inner join {{ ref('stg_symbols') }} as symbols on features.symbol_id = symbols.symbol_id
