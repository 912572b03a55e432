{#-
  A relation whose columns are others now is dropped with the views on it, since the project builds those next
  (features.vectors and labels.vectors, which are no models, at the end of the run). A view that somebody else has made on
  it would be gone for good: then nothing is dropped, and the error names it.
-#}
{% macro refuse_to_drop_what_is_not_ours(relation) %}
    {% set ours = [generate_schema_name('features', none) ~ '.vectors', generate_schema_name('labels', none) ~ '.vectors'] %}
    {% for node in graph.nodes.values() if node.resource_type == 'model' %}
        {% do ours.append(node.schema ~ '.' ~ node.alias) %}
    {% endfor %}
    {% set name = relation.include(database=false) | string | replace("'", "''") %}
    {% set dependents = run_query("
        with recursive dependent (oid) as (
            select to_regclass('" ~ name ~ "')::oid
            union
            select rule.ev_class
            from dependent
            inner join pg_depend as edge
                on edge.refclassid = 'pg_class'::regclass and edge.refobjid = dependent.oid
                and edge.classid = 'pg_rewrite'::regclass
            inner join pg_rewrite as rule on edge.objid = rule.oid
        )
        select namespace.nspname || '.' || class.relname as name
        from dependent
        inner join pg_class as class on dependent.oid = class.oid
        inner join pg_namespace as namespace on class.relnamespace = namespace.oid
        order by 1
    ") %}
    {% set others = dependents.columns['name'].values() | reject('in', ours) | list %}
    {% if others %}
        {{ exceptions.raise_compiler_error(
            relation.schema ~ '.' ~ relation.identifier ~ ' has other columns now and would be dropped, and with it what is '
            ~ 'not of this project: ' ~ others | join(', ') ~ '. Drop that first, and make it again afterwards.'
        ) }}
    {% endif %}
{% endmacro %}
