{#-
  The schema that a model's folder names, and nothing before it: people's queries and Python use these names. Only a target
  with another schema than that of the profile's target `warehouse` gets it as a prefix (`ci_42_features`), so that a run
  to try something out stands beside the real thing in the same database.
-#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- set name = (custom_schema_name or 'staging') | trim -%}
    {{ name if target.schema == 'staging' else target.schema ~ '_' ~ name }}
{%- endmacro %}
