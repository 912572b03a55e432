{#-
  How far each hypertable has read each of its sources, in features.watermarks: one row per hypertable and source. Which it
  reads stands in its `meta`, as `reads`: market.bars, where nothing is said.

  `recorded_at` of a source, and the moment at which a bar is deleted, grow in commit order, so "everything up to the newest
  that was there before the build began" is exact: what is committed meanwhile is at worst read twice. The mark moves in the
  transaction of the build.
-#}
{% macro watermarks_relation() -%}
    {{ return(api.Relation.create(
        database=target.dbname, schema=generate_schema_name('features', none), identifier='watermarks', type='table'
    )) }}
{%- endmacro %}


{#- SQL for the moment up to which this model has seen a source. A macro of its own so that unit tests can set it. -#}
{% macro seen_up_to(source='market.bars') -%}
    (
        select seen_up_to from {{ watermarks_relation() }}
        where relation = '{{ this.schema }}.{{ this.identifier }}' and source = '{{ source }}'
    )
{%- endmacro %}


{#- The tables of market that this model reads. -#}
{% macro sources_read() -%}
    {{ return(config.get('meta', {}).get('reads', ['market.bars'])) }}
{%- endmacro %}


{#- A query for the bars that were deleted since this model has last seen the bars. -#}
{% macro deleted_since() -%}
    select symbol_id, timeframe, ts from {{ source('market', 'superseded_bars') }}
    where deleted and superseded_at > {{ seen_up_to() }}
{%- endmacro %}


{#- Whether a build can go on from the model's rows. Overrides dbt's macro, which knows only its own kind of table. -#}
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


{#- Whether there is a table with the columns that the contract has now. -#}
{% macro has_same_shape() %}
    {% set mark = last_build() %}
    {{ return(mark is not none and mark['shape'] == shape()) }}
{% endmacro %}


{#- What the last build of this model was, or none where it was never built, or its table is gone. -#}
{% macro last_build() %}
    {% if load_cached_relation(this) is none %}
        {{ return(none) }}
    {% endif %}
    {% set marks = run_query(
        "select definition, shape from " ~ watermarks_relation()
        ~ " where relation = '" ~ this.schema ~ "." ~ this.identifier ~ "' and seen_up_to is not null"
        ~ " and source in ('" ~ sources_read() | join("', '") ~ "')"
    ) %}
    {#- A source that is new to the model was not read yet. -#}
    {{ return(marks.rows[0] if marks.rows | length == sources_read() | length else none) }}
{% endmacro %}


{#- The definition of the rows: where it has changed, all rows are computed again. -#}
{% macro definition() %}
    {% set horizons = tojson(timeframes()) if model.config.meta.get('label_set') else '' %}
    {{ return(local_md5(config.require('definition') ~ horizons)) }}
{% endmacro %}


{#- The columns of the table: where they have changed, the table is made again. -#}
{% macro shape() %}
    {% set columns = [] %}
    {% for column in model.columns.values() %}
        {% do columns.append(column.name ~ ' ' ~ column.data_type) %}
    {% endfor %}
    {{ return(local_md5(columns | join(', ') ~ ' by ' ~ config.require('chunk_interval'))) }}
{% endmacro %}


{#- Begin a build: wait for another build of the same model, and note how far the sources reach now. -#}
{% macro start_build() %}
    {% for name in sources_read() | sort %}
        {% set deleted = ", (select max(superseded_at) from " ~ source('market', 'superseded_bars') ~ " where deleted)" %}
        {% do run_query(
            "insert into " ~ watermarks_relation() ~ " as mark (relation, source, seeing_up_to) values ('"
            ~ this.schema ~ "." ~ this.identifier ~ "', '" ~ name ~ "', greatest('-infinity', (select max(recorded_at) from "
            ~ source('market', name.split('.')[1]) ~ ")" ~ (deleted if name == 'market.bars')
            ~ ")) on conflict (relation, source) do update set seeing_up_to = excluded.seeing_up_to"
        ) %}
    {% endfor %}
{% endmacro %}


{#- End a build: keep as seen what was noted at its beginning. -#}
{% macro finish_build() %}
    {% do run_query(
        "update " ~ watermarks_relation()
        ~ " set seen_up_to = seeing_up_to, built_at = clock_timestamp(), definition = '" ~ definition()
        ~ "', shape = '" ~ shape() ~ "' where relation = '" ~ this.schema ~ "." ~ this.identifier ~ "'"
    ) %}
{% endmacro %}


{#- Before any model is built, since two of them may be built at once. -#}
{% macro create_watermarks() %}
    {#- The warehouse's own schemas exist, and dbt's role may not make any; those of the target ci may be missing. -#}
    {% if target.name == 'ci' -%}
    create schema if not exists {{ watermarks_relation().schema }};
    {%- endif %}
    create table if not exists {{ watermarks_relation() }} (
        relation text not null,
        source text not null default 'market.bars',
        seeing_up_to timestamptz not null,
        seen_up_to timestamptz,
        definition text,
        shape text,
        built_at timestamptz,
        primary key (relation, source)
    );
    comment on table {{ watermarks_relation() }} is
    'How far each hypertable of dbt has read each of its sources. One row per hypertable and source.';
{% endmacro %}
