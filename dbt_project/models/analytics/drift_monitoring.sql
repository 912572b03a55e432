-- On the day on which another version took over, both may have been measured: the one measured last speaks for the model.
select distinct on (drift.model, drift.symbol_id, symbols.ticker, drift.timeframe, drift.day)
    drift.model,
    drift.symbol_id,
    drift.timeframe,
    drift.day as date,
    drift.accuracy,
    drift.n_predictions,
    drift.baseline_accuracy,
    drift.drift_margin,
    drift.drift_detected,
    drift.state,
    drift.created_at,
    symbols.ticker,
    drift.version
from {{ source('monitoring', 'drift') }} as drift
inner join {{ ref('stg_symbols') }} as symbols on drift.symbol_id = symbols.symbol_id
order by
    drift.model,
    drift.symbol_id,
    symbols.ticker,
    drift.timeframe,
    drift.day,
    drift.created_at desc,
    drift.version desc
