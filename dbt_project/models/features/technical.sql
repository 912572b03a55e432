{{ config(
    materialized='hypertable',
    definition=var('feature_set_version'),
    meta={'feature_set': 'technical', 'version': var('feature_set_version'), 'reads': ['market.bars']},
    bars_before_first_row=50,
    pre_hook="{{ create_technical_share() if execute and not is_incremental() }}",
    post_hook="{{ create_technical_at() if not is_incremental() }}",
) }}
-- depends_on: {{ ref('stg_bars') }}

{% if not is_incremental() %}
-- There are more shares than processes, so that no process waits long for the last one.
{% for share in range(8) %}
select * from {{ this.schema }}.technical_share({{ share }}, 8)
{{ "union all" if not loop.last }}
{% endfor %}
{% else %}
with
-- Each series is computed again from its first bar that this table has not seen yet.
changed as (
    select
        symbol_id,
        timeframe,
        min(ts) as from_ts
    from {{ ref('stg_bars') }}
    where recorded_at > {{ seen_up_to() }}
    group by symbol_id, timeframe
),

-- It starts with the averages of the row before that bar, where there is one; else it is computed from its first bar.
starts as (
    select
        changed.symbol_id,
        changed.timeframe,
        case when last_good.ts is not null then changed.from_ts else '-infinity' end as from_ts,
        case when last_good.ts is not null then array[
            {% for name in technical_state_names() -%}
            last_good.{{ name }}{{ "," if not loop.last }}
            {% endfor %}
        ] end as start,
        last_good.known_at as start_known_at,
        last_good.recorded_at as start_recorded_at
    from changed
    left join lateral (
        select *
        from {{ this }} as built
        where
            built.symbol_id = changed.symbol_id
            and built.timeframe = changed.timeframe
            and built.ts < changed.from_ts
        order by built.ts desc
        limit 1
    ) as last_good on true
),

-- The 50 bars before `from_ts` fill the windows.
series as (
    select
        starts.*,
        bars.*
    from starts
    cross join lateral (
        select {{ series_of_bars() }}
        from (
            (
                select *
                from {{ ref('stg_bars') }} as before
                where
                    before.symbol_id = starts.symbol_id
                    and before.timeframe = starts.timeframe
                    and before.ts < starts.from_ts
                order by before.ts desc
                limit 50
            )
            union all
            select *
            from {{ ref('stg_bars') }} as since
            where
                since.symbol_id = starts.symbol_id
                and since.timeframe = starts.timeframe
                and since.ts >= starts.from_ts
        ) as bars
    ) as bars
),

{{ technical_features('series') }}
{% endif %}
