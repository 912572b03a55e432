{#- The timeframes that there are, each with its horizons, from market.timeframes. -#}
{% macro timeframes() -%}
    {% set there = source('market', 'timeframes') %}
    {% if not execute %}
        {{ return([]) }}
    {% endif %}
    {% set rows = run_query(
        'select timeframe, to_json(horizons)::text as horizons from ' ~ there ~ ' order by timeframe'
    ).rows %}
    {% set found = [] %}
    {% for row in rows %}
        {% do found.append({'timeframe': row['timeframe'], 'horizons': fromjson(row['horizons'])}) %}
    {% endfor %}
    {{ return(found) }}
{%- endmacro %}

{#- An expression that depends on the timeframe: `caller` gives its text for the horizons of each one in `there`. -#}
{% macro by_horizons(there) -%}
    case timeframe
        {% for each in there -%}
        when '{{ each.timeframe }}' then {{ caller(each.horizons) }}
        {% endfor -%}
    end
{%- endmacro %}

{#- The longest horizon of the timeframes in `there`, in bars. -#}
{% macro longest_horizon(there) -%}
    {% set longest = [1] %}
    {% for each in there %}
        {% do longest.append(each.horizons | max) %}
    {% endfor %}
    {{ return(longest | max) }}
{%- endmacro %}

{#-
  The query of a label set: for each bar and each horizon of its timeframe the target, when it is known, and when this
  database learnt it. `target` is SQL over the arrays of `series_of_bars`, at place `bar`, with H for the horizon; it must
  be NULL where there is no bar that far ahead. `version` names its definition.
-#}
{% macro labels_ahead(target, version) -%}
{%- set there = timeframes() -%}
with
{% if is_incremental() %}
-- The bars that this table has not seen yet: their own labels, and those of the bars before, look at them.
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
                limit {{ longest_horizon(there) }}
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
                limit {{ longest_horizon(there) }}
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

ahead as (
    select
        symbol_id,
        timeframe,
        ts[bar] as ts,
        known_at[bar] as as_of,
        -- Of the bars up to the end of the longest known horizon, since a bar inserted among them moves that end.
        {% call(horizons) by_horizons(there) -%}
        case
            {% for horizon in horizons | reverse -%}
            when bar + {{ horizon }} <= n_bars then greatest(
                {% for step in range(horizon + 1) -%}
                recorded_at[bar + {{ step }}]{{ "," if not loop.last }}
                {% endfor -%}
            )
            {% endfor -%}
            else recorded_at[bar]
        end
        {%- endcall %} as recorded_at,
        {% call(horizons) by_horizons(there) -%}
        '{ {{- horizons | join(',') -}} }'::integer []
        {%- endcall %} as horizons,
        {% call(horizons) by_horizons(there) -%}
        array[{% for horizon in horizons %}{{ target | replace('H', horizon) }}{{ ", " if not loop.last }}{% endfor %}]
        {%- endcall %} as forward_returns,
        {% call(horizons) by_horizons(there) -%}
        array[{% for horizon in horizons %}known_at[bar + {{ horizon }}]{{ ", " if not loop.last }}{% endfor %}]
        {%- endcall %} as known_ats
    from series
    cross join lateral generate_series(1, n_bars) as bar
    where ts[bar] <= last_ts
)

select
    symbol_id,
    timeframe,
    ts,
    as_of,
    recorded_at,
    '{{ version }}' as label_set_version,
    horizons,
    forward_returns,
    known_ats
from ahead
where horizons is not null
{%- endmacro %}

{#-
  BULLISH, NEUTRAL or BEARISH: which way a forward return goes. A return of exactly the threshold is NEUTRAL; a return not
  known yet has no direction.
-#}
{% macro direction(forward_return, threshold) -%}
    case
        when {{ forward_return }} > {{ threshold }} then 'BULLISH'
        when {{ forward_return }} < -{{ threshold }} then 'BEARISH'
        when {{ forward_return }} between -{{ threshold }} and {{ threshold }} then 'NEUTRAL'
    end
{%- endmacro %}

{#- At the end of a run: have labels.catalog and labels.vectors made of the label sets, as publish_feature_sets does. -#}
{% macro publish_label_sets(results) -%}
    {% if publishes(results) %}
        {% set sets = [] %}
        {% for node in graph.nodes.values() if node.resource_type == 'model' and node.config.meta.get('label_set') %}
            {% do sets.append({
                'name': node.config.meta.label_set,
                'version': node.config.meta.version,
                'relation': node.schema ~ '.' ~ node.alias,
                'description': node.description,
            }) %}
        {% endfor %}
        {{ in_dbts_name(
            "select labels.publish_label_sets('" ~ generate_schema_name('labels', none)
            ~ "', $declared$" ~ tojson(sets) ~ "$declared$)"
        ) }}
    {% endif %}
{%- endmacro %}
