-- The opinion is that of the mean probabilities; agreement is the share of versions whose own direction is the same.
with opinions as (
    select
        predictions.symbol_id,
        symbols.ticker,
        predictions.timeframe,
        predictions.horizon,
        predictions.as_of,
        max(predictions.target_ts) as target_ts,
        count(*) as n_models,
        avg(predictions.p50) as p50_mean,
        min(predictions.p50) as p50_lowest,
        max(predictions.p50) as p50_highest,
        avg(predictions.probability_bullish) as probability_bullish,
        avg(predictions.probability_neutral) as probability_neutral,
        avg(predictions.probability_bearish) as probability_bearish,
        count(*) filter (where predictions.direction = 'BULLISH') as n_bullish,
        count(*) filter (where predictions.direction = 'NEUTRAL') as n_neutral,
        count(*) filter (where predictions.direction = 'BEARISH') as n_bearish
    from {{ source('ml', 'serving') }} as serving
    inner join {{ source('ml', 'predictions') }} as predictions
        on serving.model = predictions.model and serving.version = predictions.version
    inner join {{ ref('stg_symbols') }} as symbols on predictions.symbol_id = symbols.symbol_id
    group by predictions.symbol_id, symbols.ticker, predictions.timeframe, predictions.horizon, predictions.as_of
),

judged as (
    select
        *,
        case greatest(probability_bullish, probability_neutral, probability_bearish)
            when probability_bullish then 'BULLISH'
            when probability_neutral then 'NEUTRAL'
            else 'BEARISH'
        end as direction
    from opinions
)

select
    symbol_id,
    ticker,
    timeframe,
    horizon,
    as_of,
    target_ts,
    n_models,
    direction,
    case direction
        when 'BULLISH' then n_bullish
        when 'NEUTRAL' then n_neutral
        else n_bearish
    end / n_models::double precision as agreement,
    p50_mean,
    p50_lowest,
    p50_highest,
    probability_bullish,
    probability_neutral,
    probability_bearish
from judged
