select
    bars.symbol_id,
    symbols.ticker,
    bars.timeframe,
    bars.ts,
    bars.known_at,
    bars.recorded_at,
    bars.open,
    bars.high,
    bars.low,
    bars.close,
    bars.volume
from {{ ref('stg_bars') }} as bars
inner join {{ ref('stg_symbols') }} as symbols on bars.symbol_id = symbols.symbol_id
