{#-
  BULLISH, NEUTRAL or BEARISH: which way a forward return goes, by the threshold that `direction_thresholds` has for its
  timeframe and horizon. A return of exactly the threshold is NEUTRAL; a return not known yet has no direction.
-#}
{% macro direction(forward_return, horizon) -%}
    case
        {% for timeframe, thresholds in var('direction_thresholds').items() -%}
        when timeframe = '{{ timeframe }}' and {{ forward_return }} > {{ thresholds[horizon] }} then 'BULLISH'
        when timeframe = '{{ timeframe }}' and {{ forward_return }} < -{{ thresholds[horizon] }} then 'BEARISH'
        when timeframe = '{{ timeframe }}' and {{ forward_return }} is not null then 'NEUTRAL'
        {% endfor -%}
    end
{%- endmacro %}

{#- How many bars ahead there are labels for. -#}
{% macro horizons() -%}
    {{ return([1, 5, 10, 20]) }}
{%- endmacro %}
