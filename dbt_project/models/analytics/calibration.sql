{%- set quantiles = {'p10': 0.1, 'p50': 0.5, 'p90': 0.9} -%}

-- Each tenth of the confidence gives the row of its probability, and its part of the row of each quantile. All keys are
-- in every grouping, so that a filter on model, version, timeframe or horizon reaches the totals themselves.
with by_tenth as (
    select
        model,
        version,
        timeframe,
        horizon,
        tenth / 10::double precision as tenth,
        sum(n) as n,
        sum(confidence) as confidence,
        sum(hits) as hits,
        {% for name in quantiles -%}
        sum(up_to_{{ name }}) as up_to_{{ name }}{{ "," if not loop.last }}
        {% endfor %}
    from {{ source('ml', 'outcome_totals') }}
    group by model, version, timeframe, horizon, tenth
)

select
    by_tenth.model,
    by_tenth.version,
    by_tenth.timeframe,
    by_tenth.horizon,
    shown.what,
    coalesce(shown.quantile, (sum(by_tenth.confidence) / sum(by_tenth.n))::double precision) as stated,
    (sum(shown.came) / sum(by_tenth.n))::double precision as observed,
    sum(by_tenth.n)::bigint as n,
    shown.tenth
from by_tenth
cross join lateral (
    values
    ('probability', null::double precision, by_tenth.tenth, by_tenth.hits),
    {% for name, stated in quantiles.items() -%}
    ('quantile', {{ stated }}::double precision, null, by_tenth.up_to_{{ name }}){{ "," if not loop.last }}
    {% endfor %}
) as shown (what, quantile, tenth, came)
group by
    by_tenth.model,
    by_tenth.version,
    by_tenth.timeframe,
    by_tenth.horizon,
    shown.what,
    shown.quantile,
    shown.tenth
