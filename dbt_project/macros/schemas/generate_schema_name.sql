{#- The schema of a model is the one its folder names, and nothing is put before it: people's queries use these names. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
