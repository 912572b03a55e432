select
    timeframe,
    bar_length,
    session_rule,
    horizons,
    thresholds
from {{ source('market', 'timeframes') }}
