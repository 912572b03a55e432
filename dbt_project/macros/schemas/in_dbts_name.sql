{#-
  Let a statement, and what follows it in its transaction, run in the name of the profile's role, and wait ten minutes at
  most for whoever is at the same tables.
-#}
{% macro in_dbts_name(statement) -%}
    set local role {{ target.role }}; set local lock_timeout = '10min'; {{ statement }}
{%- endmacro %}
