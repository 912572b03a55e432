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
-- More shares than processes, so that none waits long for the last one.
{% for share in range(8) %}
select * from {{ this.schema }}.technical_share({{ share }}, 8)
{{ "union all" if not loop.last }}
{% endfor %}
{% else %}
with
-- From which bar on is each series to be computed again? From the first that this table has not seen yet.
changed as (
    select
        symbol_id,
        timeframe,
        min(ts) as from_ts
    from {{ ref('stg_bars') }}
    where recorded_at > {{ seen_up_to() }}
    group by symbol_id, timeframe
),

-- Going on from the row before it, where there is one; else from the first bar.
seeds as (
    select
        changed.symbol_id,
        changed.timeframe,
        case when last_good.ts is not null then changed.from_ts else '-infinity' end as from_ts,
        case when last_good.ts is not null then array[
            {% for name in technical_state_names() -%}
            last_good.{{ name }}{{ "," if not loop.last }}
            {% endfor %}
        ] end as seed,
        last_good.known_at as seed_known_at,
        last_good.recorded_at as seed_recorded_at
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

-- The 50 bars before fill the windows.
series as (
    select
        seeds.*,
        bars.*
    from seeds
    cross join lateral (
        select {{ series_of_bars() }}
        from (
            (
                select *
                from {{ ref('stg_bars') }} as before
                where
                    before.symbol_id = seeds.symbol_id
                    and before.timeframe = seeds.timeframe
                    and before.ts < seeds.from_ts
                order by before.ts desc
                limit 50
            )
            union all
            select *
            from {{ ref('stg_bars') }} as since
            where
                since.symbol_id = seeds.symbol_id
                and since.timeframe = seeds.timeframe
                and since.ts >= seeds.from_ts
        ) as bars
    ) as bars
),

{{ technical_features('series') }}
{% endif %}
