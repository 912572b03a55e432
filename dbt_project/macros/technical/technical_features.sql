{#- Names of the twenty technical features of design.md, in the order in which a model takes them. -#}
{% macro technical_feature_names() -%}
    {{ return([
        'return_1', 'return_5', 'return_10', 'return_20', 'volatility_10', 'volatility_20',
        'sma_ratio_5', 'sma_ratio_20', 'sma_ratio_50', 'ema_ratio_12', 'ema_ratio_26', 'macd_hist', 'rsi_14',
        'bollinger_b_20', 'atr_14', 'volume_zscore_20', 'volume_ratio_5_20', 'range_1', 'gap_1', 'stochastic_k_14',
    ]) }}
{%- endmacro %}

{#- What the averages that depend on all bars before have come to; kept in the table, so that a day goes on from there. -#}
{% macro technical_state_names() -%}
    {{ return(['ema_12', 'ema_26', 'macd_signal', 'average_gain', 'average_loss', 'average_true_range']) }}
{%- endmacro %}

{#-
  The twenty features over the rows of `bars`, which has the columns of stg_bars and these three, all NULL where a series
  is computed from its first bar:
    from_ts    the first bar that wants a row; the bars before it are there to fill its windows
    seeded_at  the bar just before it
    seed       the recursive averages as they stood after that bar
    and seed_known_at, seed_recorded_at: the latest such times up to that bar.
  Gives one row per bar wanted: those after the first 50 of a series, or from from_ts on.

  How, and why so (see performance notes in docs/): all windows share the order of the primary key of bars, so nothing is
  sorted. Sums, deviations and extremes over n bars are merged from those over half as many or fewer: a moving frame costs by
  its length, and a running total minus an earlier one costs digits, which a deviation near zero does not have.
-#}
{% macro technical_features(bars) %}
windowed as (
    select
        *,
        row_number() over series as bar_number,
        lag(close) over series as close_1,
        lag(close, 5) over series as close_5,
        lag(close, 10) over series as close_10,
        lag(close, 20) over series as close_20,
        max(known_at) over series as latest_known_at,
        max(recorded_at) over series as latest_recorded_at,
        features.recursive_averages(close, high, low, seed)
            filter (where seeded_at is null or ts >= seeded_at) over series as averages,
        sum(close) over five as close_sum_5,
        sum(volume) over five as volume_sum_5,
        min(low) over seven as low_7,
        max(high) over seven as high_7,
        features.moments(close) over ten as close_moments_10,
        features.moments(volume) over ten as volume_moments_10
    from {{ bars }}
    window
        series as (partition by symbol_id, timeframe order by ts rows unbounded preceding),
        five as (partition by symbol_id, timeframe order by ts rows 4 preceding),
        seven as (partition by symbol_id, timeframe order by ts rows 6 preceding),
        ten as (partition by symbol_id, timeframe order by ts rows 9 preceding)
),

merged as (
    select
        *,
        stddev_samp(close / close_1 - 1) over ten as volatility_10,
        stddev_samp(close / close_1 - 1) over twenty as volatility_20,
        float8_combine(close_moments_10, lag(close_moments_10, 10) over series) as close_moments_20,
        float8_combine(volume_moments_10, lag(volume_moments_10, 10) over series) as volume_moments_20,
        lag(close_moments_10[2], 20) over series
        + lag(close_moments_10[2], 30) over series
        + lag(close_moments_10[2], 40) over series as close_sum_20_to_49,
        least(low_7, lag(low_7, 7) over series) as low_14,
        greatest(high_7, lag(high_7, 7) over series) as high_14
    from windowed
    window
        series as (partition by symbol_id, timeframe order by ts rows unbounded preceding),
        ten as (partition by symbol_id, timeframe order by ts rows 9 preceding),
        twenty as (partition by symbol_id, timeframe order by ts rows 19 preceding)
),

measured as (
    select
        *,
        close_moments_20[2] / 20 as close_mean_20,
        float8_stddev_pop(close_moments_20) as close_deviation_20,
        -- A volume that is missing makes the two volume features NULL as long as it is in the window, no longer.
        case when volume_moments_20[1] = 20 then volume_moments_20[2] / 20 end as volume_mean_20,
        float8_stddev_samp(volume_moments_20) as volume_deviation_20
    from merged
    where bar_number > 50 or ts >= from_ts
)

select
    symbol_id,
    timeframe,
    ts,
    known_at as as_of,
    greatest(latest_known_at, seed_known_at) as known_at,
    greatest(latest_recorded_at, seed_recorded_at) as recorded_at,
    '{{ var("feature_set_version") }}'::text as feature_set_version,
    close / close_1 - 1 as return_1,
    close / close_5 - 1 as return_5,
    close / close_10 - 1 as return_10,
    close / close_20 - 1 as return_20,
    volatility_10,
    volatility_20,
    5 * close / close_sum_5 - 1 as sma_ratio_5,
    close / close_mean_20 - 1 as sma_ratio_20,
    50 * close / (close_moments_20[2] + close_sum_20_to_49) - 1 as sma_ratio_50,
    close / averages[1] - 1 as ema_ratio_12,
    close / averages[2] - 1 as ema_ratio_26,
    (averages[1] - averages[2] - averages[3]) / close as macd_hist,
    100 * averages[4] / nullif(averages[4] + averages[5], 0) as rsi_14,
    -- Equal values have a deviation of some 1e-16 of their size for rounding: that is zero, too.
    case
        when close_deviation_20 > 1e-12 * close_mean_20
            then (close - close_mean_20 + 2 * close_deviation_20) / (4 * close_deviation_20)
    end as bollinger_b_20,
    averages[6] / close as atr_14,
    case
        when volume_deviation_20 > 1e-12 * volume_mean_20
            then (volume - volume_mean_20) / volume_deviation_20
    end as volume_zscore_20,
    volume_sum_5 / 5 / nullif(volume_mean_20, 0) as volume_ratio_5_20,
    (high - low) / close as range_1,
    open / close_1 - 1 as gap_1,
    (close - low_14) / nullif(high_14 - low_14, 0) as stochastic_k_14,
    averages[1] as ema_12,
    averages[2] as ema_26,
    averages[3] as macd_signal,
    averages[4] as average_gain,
    averages[5] as average_loss,
    averages[6] as average_true_range
from measured
{% endmacro %}

{#- Columns that `technical_features` wants where series are computed from their first bar. -#}
{% macro unseeded() -%}
    null::timestamptz as from_ts,
    null::timestamptz as seeded_at,
    null::double precision [] as seed,
    null::timestamptz as seed_known_at,
    null::timestamptz as seed_recorded_at
{%- endmacro %}
