{{ config(materialized='replaced_view') }}

-- One decision for every bar, at its close.
select
    'normal' as situation,
    bars.symbol_id,
    bars.timeframe,
    bars.ts,
    bars.known_at as as_of,
    bars.recorded_at
from {{ ref('stg_bars') }} as bars
union all
-- One decision at each release, for the last bar that had closed by then; the return over one bar is the reaction.
select
    'earnings' as situation,
    releases.symbol_id,
    timeframes.timeframe,
    bars.ts,
    releases.known_at as as_of,
    greatest(releases.recorded_at, bars.recorded_at) as recorded_at
from {{ ref('stg_earnings') }} as releases
cross join {{ ref('stg_timeframes') }} as timeframes
cross join lateral (
    select
        before.ts,
        before.recorded_at
    from {{ ref('stg_bars') }} as before
    where
        before.symbol_id = releases.symbol_id
        and before.timeframe = timeframes.timeframe
        and before.ts < releases.known_at
        and before.known_at <= releases.known_at
    order by before.ts desc
    limit 1
) as bars
where releases.known_at is not null
