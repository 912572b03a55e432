-- Each newest forecast is looked up by the key of ml.predictions, so that one symbol costs a handful of index probes
-- however many forecasts there are. Two models are not let answer for one symbol; where they do all the same, since they are
-- from before that was held to, the newer forecast stands, of two as of one moment that of the model which says whom it is
-- for, or else of the older model.
select distinct on (symbols.symbol_id, symbols.ticker, versions.timeframe, horizons.horizon)
    symbols.symbol_id,
    symbols.ticker,
    versions.timeframe,
    horizons.horizon,
    newest.as_of,
    newest.target_ts,
    newest.p10,
    newest.p50,
    newest.p90,
    newest.direction,
    newest.probability_bullish,
    newest.probability_neutral,
    newest.probability_bearish,
    versions.model,
    versions.version,
    newest.made_at,
    versions.situation,
    versions.candidate
from {{ source('ml', 'serving') }} as versions
cross join lateral unnest(versions.horizons) as horizons (horizon)
cross join {{ ref('stg_symbols') }} as symbols
cross join lateral (
    select *
    from {{ source('ml', 'predictions') }} as predictions
    where
        predictions.model = versions.model
        and predictions.version = versions.version
        and predictions.symbol_id = symbols.symbol_id
        and predictions.timeframe = versions.timeframe
        and predictions.horizon = horizons.horizon
    order by predictions.as_of desc
    limit 1
) as newest
where versions.role = 'production'
order by
    symbols.symbol_id,
    symbols.ticker,
    versions.timeframe,
    horizons.horizon,
    newest.as_of desc,
    versions.universe is null,
    versions.model_created_at,
    versions.model
