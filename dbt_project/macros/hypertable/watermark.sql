{#-
  How far each hypertable has read market.bars, in features.watermarks: one row per hypertable.

  `recorded_at` of bars, and the moment of a deletion, grow in commit order, so "everything up to the newest that was there
  before the build began" is exact: what is committed meanwhile is at worst read twice. The mark moves in the transaction
  of the build.
-#}
{% macro watermarks_relation() -%}
    {{ return(api.Relation.create(
        database=target.dbname, schema=generate_schema_name('features', none), identifier='watermarks', type='table'
    )) }}
{%- endmacro %}


{#- SQL for the moment up to which this model has seen the bars. A macro of its own so that unit tests can set it. -#}
{% macro seen_up_to() -%}
    (select seen_up_to from {{ watermarks_relation() }} where relation = '{{ this.schema }}.{{ this.identifier }}')
{%- endmacro %}


{#- A query for the bars that were deleted since this model has last seen the bars. -#}
{% macro deleted_since() -%}
    select symbol_id, timeframe, ts from {{ source('market', 'superseded_bars') }}
    where deleted and superseded_at > {{ seen_up_to() }}
{%- endmacro %}


{#- Can this model go on from what is there? Overrides dbt's own, which knows only its own materialization. -#}
{% macro is_incremental() %}
    {% if model.resource_type == 'model' and model.config.materialized != 'hypertable' %}
        {{ return(dbt.is_incremental()) }}
    {% endif %}
    {% if not execute or model.resource_type != 'model' or should_full_refresh() %}
        {{ return(false) }}
    {% endif %}
    {% set mark = last_build() %}
    {{ return(mark is not none and mark['definition'] == definition() and mark['shape'] == shape()) }}
{% endmacro %}


{#- Is there a table with the columns that the contract has now? -#}
{% macro has_same_shape() %}
    {% set mark = last_build() %}
    {{ return(mark is not none and mark['shape'] == shape()) }}
{% endmacro %}


{#- Row of this model in features.watermarks, or none where it was never built or its table is gone. -#}
{% macro last_build() %}
    {% if load_cached_relation(this) is none %}
        {{ return(none) }}
    {% endif %}
    {% set marks = run_query(
        "select definition, shape from " ~ watermarks_relation()
        ~ " where relation = '" ~ this.schema ~ "." ~ this.identifier ~ "' and seen_up_to is not null"
    ) %}
    {{ return(marks.rows[0] if marks.rows else none) }}
{% endmacro %}


{#- What the rows mean: another meaning wants all of them anew. -#}
{% macro definition() %}
    {% set horizons = tojson(timeframes()) if model.config.meta.get('label_set') else '' %}
    {{ return(local_md5(config.require('definition') ~ horizons)) }}
{% endmacro %}


{#- What the table looks like: another look wants another table. -#}
{% macro shape() %}
    {% set columns = [] %}
    {% for column in model.columns.values() %}
        {% do columns.append(column.name ~ ' ' ~ column.data_type) %}
    {% endfor %}
    {{ return(local_md5(columns | join(', ') ~ ' by ' ~ config.require('chunk_interval'))) }}
{% endmacro %}


{#- Begin a build: wait for another one of the same model, and note how far the bars reach now. -#}
{% macro start_build() %}
    {% do run_query(
        "insert into " ~ watermarks_relation() ~ " as mark (relation, seeing_up_to) values ('"
        ~ this.schema ~ "." ~ this.identifier ~ "', greatest((select coalesce(max(recorded_at), '-infinity') from "
        ~ ref('stg_bars') ~ "), (select max(superseded_at) from " ~ source('market', 'superseded_bars')
        ~ " where deleted))) on conflict (relation) do update set seeing_up_to = excluded.seeing_up_to"
    ) %}
{% endmacro %}


{#- End a build: what it noted at its beginning has been seen. -#}
{% macro finish_build() %}
    {% do run_query(
        "update " ~ watermarks_relation()
        ~ " set seen_up_to = seeing_up_to, built_at = clock_timestamp(), definition = '" ~ definition()
        ~ "', shape = '" ~ shape() ~ "' where relation = '" ~ this.schema ~ "." ~ this.identifier ~ "'"
    ) %}
{% endmacro %}


{#- Before any model is built, since two of them may be built at once. -#}
{% macro create_watermarks() %}
    {#- The schemas of the real thing are there, and dbt's role may not make any; those of the target ci may be to come. -#}
    {% if target.name == 'ci' -%}
    create schema if not exists {{ watermarks_relation().schema }};
    {%- endif %}
    create table if not exists {{ watermarks_relation() }} (
        relation text primary key,
        seeing_up_to timestamptz not null,
        seen_up_to timestamptz,
        definition text,
        shape text,
        built_at timestamptz
    );
    comment on table {{ watermarks_relation() }} is
    'How far each hypertable of dbt has read market.bars. One row per hypertable.';
{% endmacro %}
