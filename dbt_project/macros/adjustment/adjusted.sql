{#-
  Adjust one value of a bar for splits and dividends by the bar's own factor, adjusted close / close: prices are
  multiplied by it and volumes divided, all five alike, so that price times volume and the order of O, H, L and C stay
  as they were (the close, too, is multiplied: adj_close itself may differ from it in the last bit and break low <=
  close). A source without an adjusted close is taken as adjusted already.
-#}
{% macro adjusted_price(column) -%}
    coalesce({{ column }} * (adj_close / close), {{ column }})
{%- endmacro %}

{% macro adjusted_volume(column) -%}
    coalesce({{ column }} / (adj_close / close), {{ column }})
{%- endmacro %}
