{{ config(materialized='replaced_view') }}

{% for horizon in horizons() %}
select
    symbol_id,
    timeframe,
    ts,
    as_of,
    {{ horizon }} as horizon,
    forward_return_{{ horizon }} as forward_return,
    direction_{{ horizon }} as direction,
    known_at_{{ horizon }} as known_at,
    recorded_at
from {{ ref('forward') }}
where forward_return_{{ horizon }} is not null
{{ "union all" if not loop.last }}
{% endfor %}
