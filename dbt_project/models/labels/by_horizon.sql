{{ config(materialized='replaced_view') }}

select
    labels.symbol_id,
    labels.timeframe,
    labels.ts,
    labels.as_of,
    ahead.horizon,
    ahead.forward_return,
    {{ direction('ahead.forward_return', 'timeframes.thresholds[array_position(timeframes.horizons, ahead.horizon)]') }}
    as direction,
    ahead.known_at,
    labels.recorded_at
from {{ ref('forward') }} as labels
left join {{ ref('stg_timeframes') }} as timeframes on labels.timeframe = timeframes.timeframe
cross join lateral unnest(labels.horizons, labels.forward_returns, labels.known_ats)
    as ahead (horizon, forward_return, known_at)
where ahead.forward_return is not null
