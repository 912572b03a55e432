{#- What the checks read, and the view with the same columns that people may read. -#}
{%- set shown_as = {
    'market.bars': ref('bars'),
    'market.symbols': ref('symbols'),
    'market.sessions': ref('sessions'),
    'market.calendar': ref('calendar'),
    'market.confirmed_moves': ref('confirmed_moves'),
    'staging.stg_bars': ref('adjusted_bars'),
    'features.technical': ref('feature_history'),
    'labels.forward': ref('label_history'),
} -%}

select
    run_id,
    suite,
    expectation,
    relation,
    success,
    observed,
    rows_at_fault,
    checked_at,
    as_of,
    why,
    -- The rows of a training set are there only while the run goes on, so there is nothing to show afterwards.
    case when suite <> 'training_set' then
        {% for relation in shown_as %}replace({% endfor %}query
        {%- for relation, view in shown_as.items() %}, '{{ relation }}', '{{ view.include(database=false) | replace('"', '') }}')
        {%- endfor %}
    end as query,
    timeframe,
    quarantined
from {{ source('monitoring', 'check_results') }}
