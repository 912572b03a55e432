-- The newest bar of each symbol and timeframe is looked up by the key of the bars. Refused is what the newest run of a
-- version in production refused: a run in which it was forecast again takes that back.
with newest_runs as (
    select distinct on (runs.model)
        runs.run_id,
        runs.as_of,
        models.timeframe
    from {{ source('ml', 'forecast_runs') }} as runs
    inner join {{ source('ml', 'models') }} as models on runs.model = models.model
    where runs.role = 'production' and runs.status <> 'failed'
    order by runs.model asc, runs.as_of desc, runs.finished_at desc
),

refused as (
    select distinct on (refusals.symbol_id, newest_runs.timeframe)
        refusals.symbol_id,
        newest_runs.timeframe,
        newest_runs.as_of,
        refusals.reason
    from {{ source('ml', 'refusals') }} as refusals
    inner join newest_runs on refusals.run_id = newest_runs.run_id
    order by refusals.symbol_id asc, newest_runs.timeframe asc, newest_runs.as_of desc, refusals.reason asc
),

quarantined as (
    select
        symbol_id,
        timeframe,
        min(since) as since
    from {{ ref('quarantine') }}
    where until is null and not gate_closed
    group by symbol_id, timeframe
),

standing as (
    select
        symbol_id,
        timeframe,
        max(as_of) as as_of
    from {{ ref('ml_forecasts') }}
    group by symbol_id, timeframe
),

newest as (
    select
        symbols.symbol_id,
        symbols.ticker,
        symbols.exchange,
        timeframes.timeframe,
        timeframes.calendar,
        newest_bars.ts,
        newest_bars.known_at
    from {{ ref('stg_symbols') }} as symbols
    cross join (
        select
            timeframe,
            case session_rule when 'week' then 'week' else 'session' end as calendar
        from {{ ref('stg_timeframes') }}
    ) as timeframes
    cross join lateral (
        select
            bars.ts,
            bars.known_at
        from {{ source('market', 'bars') }} as bars
        where symbols.symbol_id = bars.symbol_id and timeframes.timeframe = bars.timeframe
        order by bars.ts desc
        limit 1
    ) as newest_bars
),

-- Most symbols have the same newest bar: what came since is counted once for each exchange and bar. Materialized, or
-- the planner counts it again for each symbol.
behind as materialized (
    select
        moments.exchange,
        moments.calendar,
        moments.ts,
        (
            select count(*)
            from {{ ref('stg_calendar') }} as calendar
            where
                moments.calendar = calendar.rule
                and moments.exchange = calendar.exchange
                and calendar.opens_at > moments.ts
                and calendar.closes_at <= now()
        ) as sessions_behind
    from (
        select distinct
            exchange,
            calendar,
            ts
        from newest
    ) as moments
)

select
    newest.symbol_id,
    newest.ticker,
    newest.timeframe,
    newest.ts as newest_bar,
    newest.known_at as newest_known_at,
    behind.sessions_behind,
    quarantined.since as quarantined_since,
    refused.reason as refused,
    refused.as_of as refused_as_of,
    standing.as_of as forecast_as_of
from newest
inner join behind on newest.exchange = behind.exchange and newest.calendar = behind.calendar and newest.ts = behind.ts
left join quarantined on newest.symbol_id = quarantined.symbol_id and newest.timeframe = quarantined.timeframe
left join refused on newest.symbol_id = refused.symbol_id and newest.timeframe = refused.timeframe
left join standing on newest.symbol_id = standing.symbol_id and newest.timeframe = standing.timeframe
