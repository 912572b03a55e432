select
    timeframes.timeframe,
    timeframes.bar_length,
    timeframes.session_rule,
    ahead.horizon,
    ahead.threshold
from {{ ref('stg_timeframes') }} as timeframes
cross join lateral unnest(timeframes.horizons, timeframes.thresholds) as ahead (horizon, threshold)
