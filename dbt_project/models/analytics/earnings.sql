select
    earnings.symbol_id,
    symbols.ticker,
    earnings.announced_on as date,
    earnings.quarter,
    earnings.eps_estimate,
    earnings.eps_actual,
    earnings.release,
    earnings.ts,
    earnings.known_at,
    earnings.recorded_at
from {{ ref('stg_earnings') }} as earnings
inner join {{ ref('stg_symbols') }} as symbols on earnings.symbol_id = symbols.symbol_id
