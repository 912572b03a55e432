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

series as (
    select
        changed.*,
        bars.*
    from changed
    cross join lateral (
        select {{ series_of_bars() }}
        from (
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
    ) as bars
),
{% else %}
series as (
    select
        symbol_id,
        timeframe,
        {{ series_of_bars() }},
        'infinity'::timestamptz as last_ts
    from {{ ref('stg_bars') }}
    group by symbol_id, timeframe
),
{% endif %}

-- OFFSET 0: so that a forward return is computed once, not once for each place that uses it.
ahead as (
    select
        symbol_id,
        timeframe,
        ts[bar] as ts,
        known_at[bar] as as_of,
        -- Of the bars up to the end of the longest horizon that is known: one inserted among them moves that end.
        case
            {% for horizon in horizons() | reverse -%}
            when bar + {{ horizon }} <= n_bars then greatest(
                {% for step in range(horizon + 1) -%}
                recorded_at[bar + {{ step }}]{{ "," if not loop.last }}
                {% endfor -%}
            )
            {% endfor -%}
            else recorded_at[bar]
        end as recorded_at,
        {{ direction_thresholds() }} as thresholds,
        {% for horizon in horizons() -%}
        closes[bar + {{ horizon }}] / closes[bar] - 1 as forward_return_{{ horizon }},
        known_at[bar + {{ horizon }}] as known_at_{{ horizon }}{{ "," if not loop.last }}
        {% endfor %}
    from series
    cross join lateral generate_series(1, n_bars) as bar
    where ts[bar] <= last_ts
    offset 0
)

select
    symbol_id,
    timeframe,
    ts,
    as_of,
    recorded_at,
    {% for horizon in horizons() -%}
    forward_return_{{ horizon }},
    {{ direction('forward_return_' ~ horizon, 'thresholds[' ~ loop.index ~ ']') }} as direction_{{ horizon }},
    known_at_{{ horizon }}{{ "," if not loop.last }}
    {% endfor %}
from ahead
