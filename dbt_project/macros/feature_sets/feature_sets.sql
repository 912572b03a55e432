{#-
  Names of the features of the model at hand, in the order of its contract: its columns of type double precision, but for
  those that are marked as state.
-#}
{% macro feature_names() -%}
    {% set names = [] %}
    {% for column in model.columns.values() if is_feature(column) %}
        {% do names.append(column.name) %}
    {% endfor %}
    {{ return(names) }}
{%- endmacro %}

{% macro is_feature(column) -%}
    {{ return(column.data_type == 'double precision' and not column.config.meta.get('state')) }}
{%- endmacro %}

{#-
  At the end of a run: hand the contracts of the feature sets to the database, which makes features.catalog,
  features.vectors and features.vector_at of them (migrations/functions/publish_feature_sets.sql). A run of models that are
  not the warehouse's, as of a project that has this one as a package, leaves them as they are: it may not change them.
-#}
{% macro publish_feature_sets(results) -%}
    {% if publishes(results) %}
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

{#- Whether the catalogs have to be made again after this run. -#}
{% macro publishes(results) -%}
    {#- The target ci may have nothing but views in its schemas, since it can read the warehouse's own tables. -#}
    {% set kinds = ['hypertable'] if target.name == 'ci' else ['hypertable', 'replaced_view'] %}
    {{ return(
        execute and flags.WHICH in ['run', 'build']
        and results | selectattr('node.config.materialized', 'in', kinds) | list | length > 0
    ) }}
{%- endmacro %}

{#-
  For the post-hook of a feature set that reads nothing but bars: make the function that builds its newest row again from what
  was known at a moment. It is the query of the model, with the bars of one series that were known by then in the place of
  all bars; so the model has to give the bars an alias, and may not name them otherwise than by `ref`.
-#}
{% macro create_rebuild() -%}
    {% if not is_incremental() %}
        {% set bars = ref('stg_bars') %}
        {% set known = '(select * from ' ~ bars.include(database=false)
            ~ ' where symbol_id = p_symbol_id and timeframe = p_timeframe and known_at <= p_cutoff)' %}
        {{ create_rebuild_by(sql | replace(bars | string, known)) }}
    {% endif %}
{%- endmacro %}

{#-
  Make the function of a feature set that builds its newest row again, `<table>_at`, of a query over what was known of series
  p_symbol_id and p_timeframe at p_cutoff. Its columns may be others than before.
-#}
{% macro create_rebuild_by(query) -%}
    {% set signature = this.schema ~ '.' ~ this.identifier ~ '_at' %}
    drop function if exists {{ signature }}(bigint, text, timestamptz);
    create function {{ signature }}(p_symbol_id bigint, p_timeframe text, p_cutoff timestamptz)
    returns table (
        ts timestamptz,
        as_of timestamptz,
        {{ feature_names() | join(' double precision, ') }} double precision
    )
    language sql stable parallel safe
    set search_path = pg_catalog, pg_temp
    as $function$
    select ts, as_of, {{ feature_names() | join(', ') }}
    from ({{ query }}) as built
    order by ts desc
    limit 1
    $function$;

    comment on function {{ signature }}(bigint, text, timestamptz) is
    'The features at the newest bar with known_at <= p_cutoff, rebuilt from bars with known_at <= p_cutoff and nothing else. '
    'One row, or none where there are too few bars.';
{%- endmacro %}
