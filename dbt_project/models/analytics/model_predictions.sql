select
    predictions.symbol_id,
    symbols.ticker,
    predictions.timeframe,
    predictions.horizon,
    predictions.as_of,
    predictions.target_ts,
    predictions.p10,
    predictions.p50,
    predictions.p90,
    predictions.direction,
    predictions.probability_bullish,
    predictions.probability_neutral,
    predictions.probability_bearish,
    predictions.model,
    predictions.version,
    predictions.made_at,
    outcomes.actual,
    outcomes.error,
    outcomes.resolved_at,
    predictions.ts,
    outcomes.actual_direction,
    outcomes.naive_error,
    outcomes.known_at,
    outcomes.hit,
    outcomes.covered,
    case predictions.direction
        when 'BULLISH' then predictions.probability_bullish
        when 'NEUTRAL' then predictions.probability_neutral
        else predictions.probability_bearish
    end as confidence,
    coalesce(runs.role, 'production') as role,
    predictions.run_id
from {{ source('ml', 'predictions') }} as predictions
inner join {{ ref('stg_symbols') }} as symbols on predictions.symbol_id = symbols.symbol_id
-- In this order, what differs most comes first when both sides are sorted.
left join {{ source('ml', 'outcomes') }} as outcomes
    on
        predictions.symbol_id = outcomes.symbol_id
        and predictions.as_of = outcomes.as_of
        and predictions.horizon = outcomes.horizon
        and predictions.timeframe = outcomes.timeframe
        and predictions.model = outcomes.model
        and predictions.version = outcomes.version
-- What asks for none of its columns does not pay for it.
left join {{ source('ml', 'forecast_runs') }} as runs on predictions.run_id = runs.run_id
