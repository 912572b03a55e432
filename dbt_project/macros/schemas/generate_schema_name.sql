{#-
  The schema that a model's folder names, and nothing before it: people's queries and Python use these names. Only the target
  `ci` puts its own schema before them (`ci_42_features`), so that a run to try something out stands beside the real thing in
  the same database.
-#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- set name = (custom_schema_name or 'staging') | trim -%}
    {{ target.schema ~ '_' ~ name if target.name == 'ci' else name }}
{%- endmacro %}
