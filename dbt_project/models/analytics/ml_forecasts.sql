-- Each newest forecast is looked up by the key of ml.predictions, so that one symbol costs a handful of index probes
-- however many forecasts there are. `distinct on` holds the grain where two models of one timeframe are in production.
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
    newest.made_at
from {{ source('ml', 'aliases') }} as aliases
inner join {{ source('ml', 'versions') }} as versions
    on aliases.model = versions.model and aliases.version = versions.version
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
where aliases.alias = 'production'
order by
    symbols.symbol_id,
    symbols.ticker,
    versions.timeframe,
    horizons.horizon,
    newest.as_of desc,
    versions.model
