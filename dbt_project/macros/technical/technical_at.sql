{#-
  Make features.technical_at from the same macro as the table: the function that the checks hold the table against, and so
  prove that no row saw what came after it.
-#}
{% macro create_technical_at() %}
    {% set rebuilt %}
with series as (
    {{ series_from_first_bar('symbol_id = p_symbol_id and timeframe = p_timeframe and known_at <= p_cutoff') }}
),

{{ technical_features('series') }}
    {% endset %}
    {{ create_rebuild_by(rebuilt) }}
{% endmacro %}
