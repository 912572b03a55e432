-- The opinion is that of the mean probabilities; agreement is the share of versions whose own direction is the same.
--
-- It is made moment by moment, the newest first, so that whoever wants the newest, or one symbol, does not wait for the
-- forecasts of years to be read. No WITH: a view that has one keeps what it is ordered by to itself.
select
    judged.symbol_id,
    judged.ticker,
    moments.timeframe,
    judged.horizon,
    moments.as_of,
    judged.target_ts,
    judged.n_models,
    judged.direction,
    case judged.direction
        when 'BULLISH' then judged.n_bullish
        when 'NEUTRAL' then judged.n_neutral
        else judged.n_bearish
    end / judged.n_models::double precision as agreement,
    judged.p50_mean,
    judged.p50_lowest,
    judged.p50_highest,
    judged.probability_bullish,
    judged.probability_neutral,
    judged.probability_bearish
from (
    select distinct
        counts.timeframe,
        counts.as_of
    from {{ source('ml', 'prediction_counts') }} as counts
    inner join {{ source('ml', 'serving') }} as serving
        on counts.model = serving.model and counts.version = serving.version
    order by counts.as_of desc, counts.timeframe asc
) as moments
cross join lateral (
    select
        *,
        case greatest(opinions.probability_bullish, opinions.probability_neutral, opinions.probability_bearish)
            when opinions.probability_bullish then 'BULLISH'
            when opinions.probability_neutral then 'NEUTRAL'
            else 'BEARISH'
        end as direction
    from (
        select
            predictions.symbol_id,
            symbols.ticker,
            predictions.horizon,
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
        from {{ source('ml', 'predictions') }} as predictions
        inner join (
            select distinct
                model,
                version
            from {{ source('ml', 'serving') }}
        ) as serving
            on predictions.model = serving.model and predictions.version = serving.version
        inner join {{ ref('stg_symbols') }} as symbols on predictions.symbol_id = symbols.symbol_id
        where moments.timeframe = predictions.timeframe and moments.as_of = predictions.as_of
        group by predictions.symbol_id, symbols.ticker, predictions.horizon
    ) as opinions
) as judged
