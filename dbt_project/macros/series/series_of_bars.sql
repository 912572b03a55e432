{#-
  One row per series, what is needed of its bars as arrays in the order of ts: an expression such as
  closes[bar] / closes[bar - 5] then costs a quarter of what lag() over a window does. A subscript that is out of range
  gives NULL. An array must not have a NULL in it, since it would be searched from its beginning each time: a volume that
  is missing is NaN here, and so is all that it goes into.
-#}
{% macro series_of_bars() -%}
    count(*)::integer as n_bars,
    array_agg(ts order by ts) as ts,
    array_agg(known_at order by ts) as known_at,
    array_agg(recorded_at order by ts) as recorded_at,
    array_agg(open order by ts) as opens,
    array_agg(high order by ts) as highs,
    array_agg(low order by ts) as lows,
    array_agg(close order by ts) as closes,
    array_agg(coalesce(volume, 'NaN') order by ts) as volumes
{%- endmacro %}
