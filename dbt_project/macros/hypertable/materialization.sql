{#-
  A hypertable on `ts` with the key (symbol_id, timeframe, ts), built in full or brought up to date in one statement,
  and with its watermark in one transaction: an interrupted build leaves the table, and what it has yet to see, as
  they were.

  In full: the first time; with --full-refresh; when `definition` (a version, thresholds) is not that of the last build.
  A table of the same shape is emptied and filled, not replaced, so that views on it, grants and readers' names stay;
  readers wait while it is filled, not while its rows are computed. One of another shape is dropped with the views on
  it: dbt builds those next.
  Else: rows of bars that were deleted are taken out, and rows are inserted or, where they differ, updated. No row is
  touched that stays the same.

  Config: `definition`, a string; `chunk_interval`; `bars_before_first_row`, how many bars of a series have no row.
-#}
{% materialization hypertable, adapter='postgres' %}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set incremental = is_incremental() -%}
    {%- set key = ['symbol_id', 'timeframe', 'ts'] -%}
    {%- set names = model.columns.values() | map(attribute='name') | list -%}

    {% do refuse_empty(target_relation) %}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {#- Just-in-time compilation of such wide queries takes longer than running them. -#}
    {% do run_query('set local jit = off') %}
    {% do start_build() %}

    {% if incremental %}
        {#- Rows of deleted bars go first, since a build goes on from the rows that are in the table. -#}
        {% if run_query('select 1 from (' ~ deleted_since() ~ ') as gone limit 1').rows %}
            {% do run_query(remove_gone_sql(target_relation, key)) %}
        {% endif %}
        {% call statement('main') %}
            {{ upsert_sql(target_relation, sql, names, key) }}
        {% endcall %}
    {% else %}
        {{ get_assert_columns_equivalent(sql) }}
        {#- The rows go into a new table first: of what it writes, PostgreSQL computes only that in parallel.
            The leader only writes the rows: if it computed, too, the parallel workers would wait for it. -#}
        {% set built = target_relation.identifier ~ '_built' %}
        {% do run_query('set local parallel_leader_participation = off') %}
        {% do run_query(
            'create temporary table ' ~ built ~ ' on commit drop as select ' ~ names | join(', ')
            ~ ' from (' ~ sql ~ ') as built'
        ) %}
        {% if has_same_shape() %}
            {% do run_query(when_free(target_relation, 'truncate table ' ~ target_relation)) %}
        {% else %}
            {% do refuse_to_drop_what_is_not_ours(target_relation) %}
            {% do run_query(create_hypertable_sql(target_relation)) %}
            {% do persist_docs(target_relation, model) %}
        {% endif %}
        {#- Rows go in without the key, which is then made in one go: by row it would cost twice that. -#}
        {% set key_name = target_relation.identifier ~ '_pkey' %}
        {% do run_query('alter table ' ~ target_relation ~ ' drop constraint ' ~ key_name) %}
        {% call statement('main') %}
            insert into {{ target_relation }} ({{ names | join(', ') }})
            select {{ names | join(', ') }} from pg_temp.{{ built }}
        {% endcall %}
        {% do run_query(
            'alter table ' ~ target_relation ~ ' add constraint ' ~ key_name ~ ' primary key (' ~ key | join(', ') ~ ')'
        ) %}
        {#- What queries choose rows by, from a tenth of the usual sample: autovacuum takes all, and takes its time. -#}
        {% do run_query('set local default_statistics_target = 10') %}
        {% do run_query('analyze ' ~ target_relation ~ ' (symbol_id, timeframe, ts, as_of, recorded_at)') %}
    {% endif %}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do finish_build() %}
    {% do adapter.commit() %}
    {{ run_hooks(post_hooks, inside_transaction=False) }}

    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}


{#- Create an empty hypertable with the contract's columns; a relation that has its name is replaced. -#}
{% macro create_hypertable_sql(relation) %}
    {{ when_free(relation, 'drop table if exists ' ~ relation ~ ' cascade') }};
    create table {{ relation }} {{ get_table_columns_and_constraints() }};
    select public.create_hypertable(
        '{{ relation.include(database=false) }}',
        public.by_range('ts', interval '{{ config.require("chunk_interval") }}'),
        create_default_indexes => false
    );
{% endmacro %}


{#-
  Take out the rows that have no bar any more: of the bars that were deleted since the last build, those that did not come
  back; and where a series has lost some, the rows of its first bars, for they are others now.
-#}
{% macro remove_gone_sql(relation, key) %}
    delete from {{ relation }} as kept
    using (
        select
            lost.*,
            coalesce(
                (
                    select bar.ts from {{ ref('stg_bars') }} as bar
                    where bar.symbol_id = lost.symbol_id and bar.timeframe = lost.timeframe
                    order by bar.ts
                    limit 1 offset {{ config.get('bars_before_first_row', 0) }}
                ), 'infinity'
            ) as begins_at
        from (
            select symbol_id, timeframe, min(ts) as first_ts, max(ts) as last_ts
            from ({{ deleted_since() }}) as gone
            group by symbol_id, timeframe
        ) as lost
    ) as lost
    where
        kept.symbol_id = lost.symbol_id
        and kept.timeframe = lost.timeframe
        and (
            kept.ts < lost.begins_at
            or (
                kept.ts between lost.first_ts and lost.last_ts
                and not exists (
                    select 1 from {{ ref('stg_bars') }} as bar
                    where {% for name in key -%}
                    bar.{{ name }} = kept.{{ name }}{{ " and " if not loop.last }}
                    {%- endfor %}
                )
            )
        )
{% endmacro %}


{#- Insert the rows of `sql`; a row whose key is there already is updated if it differs, and left alone if not. -#}
{% macro upsert_sql(relation, sql, names, key) %}
    insert into {{ relation }} as kept ({{ names | join(', ') }})
    select {{ names | join(', ') }} from ({{ sql }}) as built
    on conflict ({{ key | join(', ') }}) do update set
        {% for name in names if name not in key -%}
        {{ name }} = excluded.{{ name }}{{ "," if not loop.last }}
        {% endfor %}
    where
        (
            {% for name in names if name not in key -%}
            kept.{{ name }}{{ "," if not loop.last }}
            {% endfor %}
        ) is distinct from (
            {% for name in names if name not in key -%}
            excluded.{{ name }}{{ "," if not loop.last }}
            {% endfor %}
        )
{% endmacro %}
