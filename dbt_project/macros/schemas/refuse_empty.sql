{#-
  `dbt run --empty` builds every relation without a row, to see whether its SQL runs. Where people read the relation, that
  takes their rows away; and of relations that have an alias in a query, dbt makes SQL that PostgreSQL refuses.
-#}
{% macro refuse_empty(relation) %}
    {% if flags.EMPTY %}
        {{ exceptions.raise_compiler_error(
            '--empty would leave ' ~ relation.schema ~ '.' ~ relation.identifier ~ ' without rows, so it is refused. To see '
            ~ 'whether the SQL runs, build into schemas of its own: FORECASTLE_DBT_SCHEMA=ci_1 dbt build --target ci.'
        ) }}
    {% endif %}
{% endmacro %}
