{#-
  A statement that needs a relation for itself, run as soon as nobody reads it and without keeping others waiting: see
  migrations/functions/change_when_free.sql. `lock_patience` says for how long it is tried.
-#}
{% macro when_free(relation, statement) -%}
    select staging.change_when_free(
        '{{ relation.include(database=false) }}', $statement$ {{ statement }} $statement$, '{{ var("lock_patience") }}'
    )
{%- endmacro %}
