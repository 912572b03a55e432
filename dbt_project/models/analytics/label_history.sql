{#- The columns of this view are for people and stay as they are; labels.by_horizon has every horizon of every timeframe. -#}
{% set shown = [1, 5, 10, 20] %}
select
    labels.symbol_id,
    symbols.ticker,
    labels.timeframe,
    labels.ts,
    labels.as_of,
    {% for horizon in shown -%}
    labels.forward_returns[array_position(labels.horizons, {{ horizon }})] as forward_return_{{ horizon }},
    {{ direction(
        'labels.forward_returns[array_position(labels.horizons, ' ~ horizon ~ ')]',
        'timeframes.thresholds[array_position(timeframes.horizons, ' ~ horizon ~ ')]'
    ) }} as direction_{{ horizon }},
    labels.known_ats[array_position(labels.horizons, {{ horizon }})] as known_at_{{ horizon }},
    {% endfor -%}
    labels.recorded_at,
    labels.horizons,
    labels.forward_returns,
    labels.known_ats
from {{ ref('forward') }} as labels
inner join {{ ref('stg_symbols') }} as symbols on labels.symbol_id = symbols.symbol_id
left join {{ ref('stg_timeframes') }} as timeframes on labels.timeframe = timeframes.timeframe
