{{ config(
    materialized='hypertable',
    definition=tojson(var('direction_thresholds')),
) }}

with
{% if is_incremental() %}
-- The bars that this table has not seen yet: their own labels, and those of the 20 bars before, look at them.
changed as (
    select
        symbol_id,
        timeframe,
        min(ts) as first_ts,
        max(ts) as last_ts
    from {{ ref('stg_bars') }}
    where recorded_at > {{ seen_up_to() }}
    group by symbol_id, timeframe
),

bars as (
    select
        bars.*,
        changed.last_ts
    from changed
    cross join lateral (
        (
            select *
            from {{ ref('stg_bars') }} as before
            where
                before.symbol_id = changed.symbol_id
                and before.timeframe = changed.timeframe
                and before.ts < changed.first_ts
            order by before.ts desc
            limit {{ horizons() | max }}
        )
        union all
        select *
        from {{ ref('stg_bars') }} as during
        where
            during.symbol_id = changed.symbol_id
            and during.timeframe = changed.timeframe
            and during.ts between changed.first_ts and changed.last_ts
        union all
        (
            select *
            from {{ ref('stg_bars') }} as after
            where
                after.symbol_id = changed.symbol_id
                and after.timeframe = changed.timeframe
                and after.ts > changed.last_ts
            order by after.ts
            limit {{ horizons() | max }}
        )
    ) as bars
),
{% else %}
bars as (
    select
        *,
        'infinity'::timestamptz as last_ts
    from {{ ref('stg_bars') }}
),
{% endif %}

ahead as (
    select
        symbol_id,
        timeframe,
        ts,
        known_at as as_of,
        last_ts,
        recorded_at as recorded_at_0,
        {% for horizon in horizons() -%}
        lead(close, {{ horizon }}) over series / close - 1 as forward_return_{{ horizon }},
        lead(known_at, {{ horizon }}) over series as known_at_{{ horizon }},
        max(recorded_at) over next_{{ horizon }} as recorded_at_{{ horizon }}{{ "," if not loop.last }}
        {% endfor %}
    from bars
    window
        series as (partition by symbol_id, timeframe order by ts),
        {% for horizon in horizons() -%}
        next_{{ horizon }} as (
            partition by symbol_id, timeframe order by ts rows between current row and {{ horizon }} following
        ){{ "," if not loop.last }}
        {% endfor %}
)

select
    symbol_id,
    timeframe,
    ts,
    as_of,
    -- Of the bars up to the end of the longest horizon that is known: one inserted among them moves that end.
    case
        {% for horizon in horizons() | reverse -%}
        when known_at_{{ horizon }} is not null then recorded_at_{{ horizon }}
        {% endfor -%}
        else recorded_at_0
    end as recorded_at,
    {% for horizon in horizons() -%}
    forward_return_{{ horizon }},
    {{ direction('forward_return_' ~ horizon, horizon) }} as direction_{{ horizon }},
    known_at_{{ horizon }}{{ "," if not loop.last }}
    {% endfor %}
from ahead
where ts <= last_ts
