{#-
  Names of the features of the model at hand, in the order of its contract: its columns of type double precision, but for
  those that are marked as state.
-#}
{% macro feature_names(columns=none) -%}
    {% set names = [] %}
    {% for column in (columns or model.columns).values() if is_feature(column) %}
        {% do names.append(column.name) %}
    {% endfor %}
    {{ return(names) }}
{%- endmacro %}

{% macro is_feature(column) -%}
    {{ return(column.data_type == 'double precision' and not column.config.meta.get('state')) }}
{%- endmacro %}

{#-
  At the end of a run: hand the contracts of the feature sets to the database, which makes features.catalog,
  features.vectors and features.vector_at of them (migrations/functions/publish_feature_sets.sql).
-#}
{% macro publish_feature_sets() -%}
    {% if execute and flags.WHICH in ['run', 'build'] %}
        {% set sets = [] %}
        {% for node in graph.nodes.values() if node.resource_type == 'model' and node.config.meta.get('feature_set') %}
            {% set features = [] %}
            {% for column in node.columns.values() if is_feature(column) %}
                {% do features.append(dict(column.config.meta, name=column.name, description=column.description)) %}
            {% endfor %}
            {% do sets.append({
                'name': node.config.meta.feature_set,
                'version': node.config.meta.version,
                'relation': node.schema ~ '.' ~ node.alias,
                'bars_before_first_row': node.config.get('bars_before_first_row', 0),
                'features': features,
            }) %}
        {% endfor %}
        {{ in_dbts_name(
            "select features.publish_feature_sets('" ~ generate_schema_name('features', none)
            ~ "', $declared$" ~ tojson(sets) ~ "$declared$)"
        ) }}
    {% endif %}
{%- endmacro %}
