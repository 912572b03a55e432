{%- set windows = [7, 30, 90] -%}
{%- set totals = ['n', 'absolute_error', 'naive_absolute_error', 'hits', 'covered', 'majority_hits'] -%}

-- The totals of each day are summed up over each window. All keys are in every grouping, so that a filter on model,
-- version, timeframe or horizon reaches the totals themselves.
with daily as (
    select
        totals.model,
        totals.version,
        totals.timeframe,
        totals.horizon,
        totals.day,
        sum(totals.n) as n,
        sum(totals.absolute_error)::double precision as absolute_error,
        sum(totals.naive_absolute_error)::double precision as naive_absolute_error,
        sum(totals.hits) as hits,
        sum(totals.covered) as covered,
        sum(
            case baselines.majority_class
                when 'BULLISH' then totals.bullish
                when 'NEUTRAL' then totals.neutral
                when 'BEARISH' then totals.bearish
                else 0
            end
        ) as majority_hits
    from {{ source('ml', 'outcome_totals') }} as totals
    left join {{ source('ml', 'baselines') }} as baselines
        on
            totals.model = baselines.model
            and totals.version = baselines.version
            and totals.horizon = baselines.horizon
    group by totals.model, totals.version, totals.timeframe, totals.horizon, totals.day
),

rolled as (
    select
        model,
        version,
        timeframe,
        horizon,
        day,
        {% for days in windows -%}
        {% set last_days = loop.last -%}
        {% for total in totals -%}
        sum({{ total }}) over last_{{ days }} as {{ total }}_{{ days }}{{ "," if not (last_days and loop.last) }}
        {% endfor -%}
        {% endfor %}
    from daily
    window
        {% for days in windows -%}
        last_{{ days }} as (
            partition by model, version, timeframe, horizon
            order by day
            range between interval '{{ days - 1 }} days' preceding and current row
        ){{ "," if not loop.last }}
        {% endfor %}
)

select
    rolled.model,
    rolled.version,
    rolled.timeframe,
    rolled.horizon,
    rolled.day,
    windows.window_days,
    windows.n::bigint as n,
    windows.absolute_error / windows.n::double precision as mae,
    windows.naive_absolute_error / windows.n::double precision as naive_mae,
    1 - windows.absolute_error / nullif(windows.naive_absolute_error, 0) as skill,
    windows.hits / windows.n::double precision as directional_accuracy,
    windows.covered / windows.n::double precision as coverage_80,
    windows.majority_hits / windows.n::double precision as majority_accuracy,
    versions.candidate
from rolled
left join {{ source('ml', 'versions') }} as versions
    on rolled.model = versions.model and rolled.version = versions.version
cross join lateral (
    values
    {% for days in windows -%}
    (
        {{ days }},
        {% for total in totals -%}
        rolled.{{ total }}_{{ days }}{{ "," if not loop.last }}
        {% endfor %}
    ){{ "," if not loop.last }}
    {% endfor %}
) as windows (window_days, {{ totals | join(', ') }})
