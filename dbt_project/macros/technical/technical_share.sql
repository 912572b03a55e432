{#-
  Make features.technical_share: the rows of a full build, in shares that PostgreSQL's parallel workers compute side by
  side. It does not run a query of this kind in parallel by itself, but a function that is parallel safe, if that has a
  setting of its own: without one it would be merged into the query. It is safe: nothing is written, and the order of the
  bars, which is all that it depends on, is that of their key. The cost is there to be far above what the planner thinks
  that sending the rows to another process costs.
-#}
{% macro create_technical_share() %}
-- A second build that comes here waits until the first has ended.
insert into monitoring.locks (name) values ('{{ this.schema }}.{{ this.identifier }}') on conflict (name) do nothing;
select name from monitoring.locks where name = '{{ this.schema }}.{{ this.identifier }}' for update;
drop function if exists {{ this.schema }}.technical_share(integer, integer);
create function {{ this.schema }}.technical_share(p_share integer, p_shares integer)
returns table (
    {% for column in model.columns.values() -%}
    {{ column.name }} {{ column.data_type }}{{ "," if not loop.last }}
    {% endfor %}
)
language sql stable parallel safe cost 1e9 rows 100000
set search_path = pg_catalog, pg_temp
as $function$
with extent as (
    select
        min(symbol_id) as first_id,
        max(symbol_id) - min(symbol_id) + 1 as n_ids
    from {{ ref('stg_bars').include(database=false) }}
),

series as (
    {{ series_from_first_bar(
        'symbol_id >= (select first_id + n_ids * p_share / p_shares from extent) '
        ~ 'and symbol_id < (select first_id + n_ids * (p_share + 1) / p_shares from extent)'
    ) }}
),

features as (
    with {{ technical_features('series') }}
)

-- By name: what a function returns goes by position.
select {{ model.columns.values() | map(attribute='name') | join(', ') }}
from features
$function$;

comment on function {{ this.schema }}.technical_share(integer, integer) is
'The rows of features.technical, rebuilt from all bars, of share 0 to p_shares - 1 of the symbols.';
{% endmacro %}
