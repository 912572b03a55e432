{#-
  A view that is replaced where it stands. dbt's own makes a second one, swaps the names and drops the first with all
  views on it: between the two, and for good after a crash, people's views would be gone. Here a view is dropped, with
  the views on it, only where its columns are no longer what they were; dbt builds those next. A view that would stay
  what it is is left alone, so that a build does not have to wait for somebody who reads it.

  It has a name of its own, so that plain views of another model or package stay dbt's.
-#}
{% materialization replaced_view, adapter='postgres' %}
    {%- set target_relation = this.incorporate(type='view') -%}

    {% do refuse_empty(target_relation) %}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {{ get_assert_columns_equivalent(sql) }}
    {% set there = run_query(what_is_there_sql(target_relation)).rows %}
    {% if there and not there[0]['can_be_replaced'] %}
        {% set kind = 'view' if there[0]['kind'] == 'v' else 'table' %}
        {% do refuse_to_drop_what_is_not_ours(target_relation) %}
        {% do run_query(when_free(target_relation, 'drop ' ~ kind ~ ' ' ~ target_relation ~ ' cascade')) %}
    {% endif %}
    {% call statement('main') %}
        {% if there and there[0]['can_be_replaced'] and is_the_same_view(target_relation) -%}
        select 'as it was'
        {%- else -%}
        {{ when_free(target_relation, 'create or replace view ' ~ target_relation ~ ' as ' ~ sql) }}
        {%- endif %}
    {% endcall %}
    {% do apply_grants(target_relation, config.get('grants'), should_revoke=false) %}
    {% do persist_docs(target_relation, model) %}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do adapter.commit() %}
    {{ run_hooks(post_hooks, inside_transaction=False) }}

    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}


{#- What has the name already, and whether it can be replaced: it can if it is a view whose columns come first in the
    new one. -#}
{% macro what_is_there_sql(relation) %}
    {% set name = relation.include(database=false) | string | replace("'", "''") %}
    select
        relkind::text as kind,
        relkind = 'v' and not exists (
            select 1
            from pg_attribute as old
            left join (
                values
                {% for column in model.columns.values() -%}
                ({{ loop.index }}, '{{ column.name }}', to_regtype('{{ column.data_type }}')::oid)
                {{- "," if not loop.last }}
                {% endfor %}
            ) as new (attnum, attname, atttypid) on old.attnum = new.attnum
            where
                old.attrelid = pg_class.oid
                and old.attnum > 0
                and (old.attname, old.atttypid) is distinct from (new.attname, new.atttypid)
        ) as can_be_replaced
    from pg_class
    where oid = to_regclass('{{ name }}')
{% endmacro %}


{#- Whether the view would be the one that is there: PostgreSQL's own text of both is compared. -#}
{% macro is_the_same_view(relation) %}
    {% set candidate = 'pg_temp.' ~ relation.identifier ~ '_candidate' %}
    {% do run_query('create temporary view ' ~ relation.identifier ~ '_candidate as ' ~ sql) %}
    {% set compared = run_query(
        "select pg_get_viewdef('" ~ candidate ~ "'::regclass) = pg_get_viewdef('"
        ~ relation.include(database=false) ~ "'::regclass) as same"
    ) %}
    {% do run_query('drop view ' ~ candidate) %}
    {{ return(compared.rows[0]['same']) }}
{% endmacro %}
