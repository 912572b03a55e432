{#- The thresholds that `direction_thresholds` has for a row's timeframe, as an array in the order of `horizons`. -#}
{% macro direction_thresholds() -%}
    case timeframe
        {% for timeframe, thresholds in var('direction_thresholds').items() -%}
        when '{{ timeframe }}' then array[
            {%- for horizon in horizons() %}{{ thresholds[horizon] }}{{ ", " if not loop.last }}{% endfor -%}
        ]
        {% endfor -%}
    end::double precision []
{%- endmacro %}

{#-
  BULLISH, NEUTRAL or BEARISH: which way a forward return goes. A return of exactly the threshold is NEUTRAL; a return not
  known yet has no direction.
-#}
{% macro direction(forward_return, threshold) -%}
    case
        when {{ forward_return }} > {{ threshold }} then 'BULLISH'
        when {{ forward_return }} < -{{ threshold }} then 'BEARISH'
        when {{ forward_return }} between -{{ threshold }} and {{ threshold }} then 'NEUTRAL'
    end
{%- endmacro %}

{#- How many bars ahead there are labels for. -#}
{% macro horizons() -%}
    {{ return([1, 5, 10, 20]) }}
{%- endmacro %}
