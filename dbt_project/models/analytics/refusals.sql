select
    runs.run_id,
    runs.model,
    runs.version,
    runs.role,
    runs.as_of,
    refusals.symbol_id,
    symbols.ticker,
    refusals.horizon,
    refusals.reason
from {{ source('ml', 'refusals') }} as refusals
inner join {{ source('ml', 'forecast_runs') }} as runs on refusals.run_id = runs.run_id
inner join {{ ref('stg_symbols') }} as symbols on refusals.symbol_id = symbols.symbol_id
