"""Technical features and daily labels, as the tests know them: what the catalogues have to say."""

from __future__ import annotations

from datetime import timedelta

from mlops.domain import Timeframe
from mlops.warehouse.feature_sets import Feature, FeatureSet
from mlops.warehouse.label_sets import LabelSet

HORIZONS = (1, 5, 10, 20)
"""How many bars ahead there are labels for, of every timeframe that is shorter than a week."""

DAILY_BARS = Timeframe("d1", timedelta(days=1), "session", HORIZONS, (0.005, 0.011, 0.016, 0.022))
FORWARD = LabelSet("forward", "forward-1", "labels.forward", DAILY_BARS)

TECHNICAL_FEATURES: tuple[str, ...] = (
    "return_1", "return_5", "return_10", "return_20",
    "volatility_10", "volatility_20",
    "sma_ratio_5", "sma_ratio_20", "sma_ratio_50",
    "ema_ratio_12", "ema_ratio_26",
    "macd_hist", "rsi_14", "bollinger_b_20", "atr_14",
    "volume_zscore_20", "volume_ratio_5_20",
    "range_1", "gap_1", "stochastic_k_14",
)  # fmt: skip
"""The twenty technical features, in the order in which a model takes them."""

TECHNICAL = FeatureSet(
    "technical",
    "technical-1",
    "features.technical",
    50,
    tuple(Feature(n, None, 0, 1, None) for n in TECHNICAL_FEATURES),
)
"""Their set, each between 0 and 1: for what needs a set and no data."""
