{#- The averages that depend on all bars before. The table keeps them, so that the build of a day goes on from them. -#}
{% macro technical_state_names() -%}
    {{ return(['ema_12', 'ema_26', 'macd_signal', 'average_gain', 'average_loss', 'average_true_range']) }}
{%- endmacro %}

{#-
  A query for the series that are computed from their first bar, of the bars that `condition` allows. No name of the
  database in it: it goes into functions, and databases are copied.
-#}
{% macro series_from_first_bar(condition) -%}
    select
        symbol_id,
        timeframe,
        {{ series_of_bars() }},
        null::double precision [] as start,
        null::timestamptz as start_known_at,
        null::timestamptz as start_recorded_at
    from {{ ref('stg_bars').include(database=false) }}
    where {{ condition }}
    group by symbol_id, timeframe
{%- endmacro %}

{#-
  The twenty features of `series`, which has symbol_id, timeframe, the columns of `series_of_bars`, and
    start      the recursive averages as they stood after bar 50; NULL where the series begins with its first bar
    and start_known_at, start_recorded_at: the latest such times up to that bar.
  Gives one row per bar after the first 50.

  How deviations are computed: five values are measured from the newest of them, d = x[bar - k] - x[bar], whose squared
  deviations are sum(d^2) - sum(d)^2 / 5; two neighbouring windows of n values with sums S, T and squared deviations
  P, Q make one of P + Q + (S - T)^2 / 2n (Chan, Golub and LeVeque 1979). Nothing is ever subtracted from a running
  total, so nothing cancels out, and what is far away in a series has no part in it.

  Why so: docs/decisions/0013. OFFSET 0 keeps PostgreSQL from computing an expression once for each place that uses it.
-#}
{% macro technical_features(series) %}
measured as (
    select
        symbol_id,
        timeframe,
        ts[bar] as ts,
        known_at[bar] as as_of,
        latest_known_at[bar] as known_at,
        latest_recorded_at[bar] as recorded_at,
        opens[bar] as open,
        highs[bar] as high,
        lows[bar] as low,
        closes[bar] as close,
        volumes[bar] as volume,
        closes[bar - 1] as close_1,
        closes[bar - 5] as close_5,
        closes[bar - 10] as close_10,
        closes[bar - 20] as close_20,
        close_sums_5[bar] / 5 as close_mean_5,
        (close_sums_10[bar] + close_sums_10[bar - 10]) / 20 as close_mean_20,
        (
            close_sums_10[bar] + close_sums_10[bar - 10] + close_sums_10[bar - 20] + close_sums_10[bar - 30]
            + close_sums_10[bar - 40]
        ) / 50 as close_mean_50,
        sqrt(({{ squares_of_two('close', 10) }}) / 20) as close_deviation_20,
        volume_sums_5[bar] / 5 as volume_mean_5,
        (volume_sums_10[bar] + volume_sums_10[bar - 10]) / 20 as volume_mean_20,
        sqrt(({{ squares_of_two('volume', 10) }}) / 19) as volume_deviation_20,
        sqrt(return_squares_10[bar] / 9) as return_deviation_10,
        sqrt(({{ squares_of_two('return', 10) }}) / 19) as return_deviation_20,
        least(lows_5[bar], lows_5[bar - 5], lows_5[bar - 9]) as low_14,
        greatest(highs_5[bar], highs_5[bar - 5], highs_5[bar - 9]) as high_14,
        {% for name in technical_state_names() -%}
        averages.{{ name }}[bar] as {{ name }}{{ "," if not loop.last }}
        {% endfor %}
    from {{ series }}
    cross join lateral features.recursive_averages(closes, highs, lows, start, 50) as averages
    cross join lateral features.latest_so_far(known_at, start_known_at) as latest_known_at
    cross join lateral features.latest_so_far(recorded_at, start_recorded_at) as latest_recorded_at
    cross join lateral (
        select array_agg(coalesce(closes[bar] / closes[bar - 1] - 1, 'NaN')) as returns
        from generate_series(1, n_bars) as bar
    ) as ones
    cross join lateral (
        select
            {% for name in ['close', 'volume', 'return'] -%}
            array_agg(coalesce(5 * {{ name }} + {{ name }}_d, 'NaN')) as {{ name }}_sums_5,
            array_agg(coalesce({{ name }}_dd - {{ name }}_d * {{ name }}_d / 5, 'NaN')) as {{ name }}_squares_5,
            {% endfor -%}
            array_agg(low_5) as lows_5,
            array_agg(high_5) as highs_5
        from (
            select
                {% for name in ['close', 'volume', 'return'] -%}
                {{ name }},
                {{ name }}_d1 + {{ name }}_d2 + {{ name }}_d3 + {{ name }}_d4 as {{ name }}_d,
                {{ name }}_d1 * {{ name }}_d1 + {{ name }}_d2 * {{ name }}_d2
                + {{ name }}_d3 * {{ name }}_d3 + {{ name }}_d4 * {{ name }}_d4 as {{ name }}_dd,
                {% endfor -%}
                low_5,
                high_5
            from (
                select
                    {% for name in ['close', 'volume', 'return'] -%}
                    {{ name }}s[bar] as {{ name }},
                    {{ name }}s[bar - 1] - {{ name }}s[bar] as {{ name }}_d1,
                    {{ name }}s[bar - 2] - {{ name }}s[bar] as {{ name }}_d2,
                    {{ name }}s[bar - 3] - {{ name }}s[bar] as {{ name }}_d3,
                    {{ name }}s[bar - 4] - {{ name }}s[bar] as {{ name }}_d4,
                    {% endfor -%}
                    least(lows[bar], lows[bar - 1], lows[bar - 2], lows[bar - 3], lows[bar - 4]) as low_5,
                    greatest(highs[bar], highs[bar - 1], highs[bar - 2], highs[bar - 3], highs[bar - 4]) as high_5
                from generate_series(1, n_bars) as bar
                offset 0
            ) as differences
            offset 0
        ) as totals
    ) as fives
    cross join lateral (
        select
            {% for name in ['close', 'volume', 'return'] -%}
            array_agg(coalesce({{ name }}_sums_5[bar] + {{ name }}_sums_5[bar - 5], 'NaN')) as {{ name }}_sums_10,
            array_agg(coalesce({{ squares_of_two(name, 5) }}, 'NaN')) as {{ name }}_squares_10{{ "," if not loop.last }}
            {% endfor %}
        from generate_series(1, n_bars) as bar
    ) as tens
    cross join lateral generate_series(51, n_bars) as bar
    offset 0
)

select
    symbol_id,
    timeframe,
    ts,
    as_of,
    known_at,
    recorded_at,
    '{{ var("feature_set_version") }}'::text as feature_set_version,
    close / close_1 - 1 as return_1,
    close / close_5 - 1 as return_5,
    close / close_10 - 1 as return_10,
    close / close_20 - 1 as return_20,
    return_deviation_10 as volatility_10,
    return_deviation_20 as volatility_20,
    close / close_mean_5 - 1 as sma_ratio_5,
    close / close_mean_20 - 1 as sma_ratio_20,
    close / close_mean_50 - 1 as sma_ratio_50,
    close / ema_12 - 1 as ema_ratio_12,
    close / ema_26 - 1 as ema_ratio_26,
    (ema_12 - ema_26 - macd_signal) / close as macd_hist,
    100 * average_gain / nullif(average_gain + average_loss, 0) as rsi_14,
    -- By rounding, equal values have a deviation of some 1e-16 of their size, which counts as zero.
    case
        when close_deviation_20 > 1e-12 * close_mean_20
            then (close - close_mean_20 + 2 * close_deviation_20) / (4 * close_deviation_20)
    end as bollinger_b_20,
    average_true_range / close as atr_14,
    case
        when volume_deviation_20 > 1e-12 * volume_mean_20
            then (volume - volume_mean_20) / volume_deviation_20
    end as volume_zscore_20,
    -- A volume that is missing makes the two volume features NULL as long as it is in the window, no longer.
    nullif(volume_mean_5 / nullif(volume_mean_20, 0), 'NaN') as volume_ratio_5_20,
    (high - low) / close as range_1,
    open / close_1 - 1 as gap_1,
    (close - low_14) / nullif(high_14 - low_14, 0) as stochastic_k_14,
    {% for name in technical_state_names() -%}
    {{ name }}{{ "," if not loop.last }}
    {% endfor %}
from measured
{% endmacro %}

{#- Squared deviations of 2n values up to `bar`, merged from those of the last n and the n before. -#}
{% macro squares_of_two(name, n) -%}
    {{ name }}_squares_{{ n }}[bar] + {{ name }}_squares_{{ n }}[bar - {{ n }}]
    + ({{ name }}_sums_{{ n }}[bar] - {{ name }}_sums_{{ n }}[bar - {{ n }}]) ^ 2 / {{ 2 * n }}
{%- endmacro %}
