{#- Let a statement, and what follows it in its transaction, run in the name of the profile's role. -#}
{% macro in_dbts_name(statement) -%}
    set local role {{ target.role }}; {{ statement }}
{%- endmacro %}
