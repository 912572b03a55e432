{#-
  Make features.technical_at from the same macro as the table: what the features were at a moment, from the bars known
  by then. The checks hold the table against it, and so prove that no row saw what came after it.
-#}
{% macro create_technical_at() %}
-- Its columns may be others than before.
drop function if exists {{ this.schema }}.technical_at(bigint, text, timestamptz);
create function {{ this.schema }}.technical_at(p_symbol_id bigint, p_timeframe text, p_cutoff timestamptz)
returns table (
    ts timestamptz,
    as_of timestamptz,
    {% for name in feature_names() -%}
    {{ name }} double precision{{ "," if not loop.last }}
    {% endfor %}
)
language sql stable parallel safe
set search_path = pg_catalog, pg_temp
as $function$
with series as (
    {{ series_from_first_bar('symbol_id = p_symbol_id and timeframe = p_timeframe and known_at <= p_cutoff') }}
),

features as (
    with {{ technical_features('series') }}
)

select
    features.ts,
    features.as_of,
    {% for name in feature_names() -%}
    features.{{ name }}{{ "," if not loop.last }}
    {% endfor %}
from features
order by features.ts desc
limit 1
$function$;

comment on function {{ this.schema }}.technical_at(bigint, text, timestamptz) is
'The technical features at the newest bar with known_at <= p_cutoff, rebuilt from bars with known_at <= p_cutoff and '
'nothing else. One row, or none before the 51st bar.';
{% endmacro %}
