"""The technical features and the labels once more, in pandas, written from their definitions and not from the SQL.

Slow and plain on purpose: each window is looked at as a whole, each recursion is a loop.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view

HORIZONS = (1, 5, 10, 20)


def adjusted(bars: pd.DataFrame) -> pd.DataFrame:
    """Adjust O, H, L, C by adjusted close / close and V by its inverse, where there is an adjusted close."""
    factor = (bars.adj_close.astype(float) / bars.close).fillna(1.0)
    prices = {name: bars[name] * factor for name in ("open", "high", "low", "close")}
    return bars.assign(**prices, volume=bars.volume / factor)


def windows(values: np.ndarray, n: int) -> np.ndarray:
    """Return row i = the n values up to and including i; NaN where there are fewer."""
    padded = np.concatenate([np.full(n - 1, np.nan), values])
    return sliding_window_view(padded, n)


def smoothed(values: np.ndarray, alpha: float) -> np.ndarray:
    """Return the recursive average with `alpha`, started at the first value that is there."""
    out = np.full(len(values), np.nan)
    state = np.nan
    for i, value in enumerate(values):
        if np.isnan(value):
            continue
        state = value if np.isnan(state) else (1 - alpha) * state + alpha * value
        out[i] = state
    return out


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide; NaN where the denominator is zero."""
    return numerator / np.where(denominator == 0, np.nan, denominator)


def deviation(window: np.ndarray, ddof: int) -> np.ndarray:
    """Standard deviation of each row; exactly zero where all its values are the same."""
    same = window.max(axis=1) == window.min(axis=1)
    return np.where(same, 0.0, window.std(axis=1, ddof=ddof))


def features(series: pd.DataFrame) -> pd.DataFrame:
    """Return the twenty features of one series of adjusted bars in order, without the first 50 bars, indexed by ts."""
    o, h, l, c, v = (series[name].to_numpy(dtype=float) for name in ("open", "high", "low", "close", "volume"))  # noqa: E741

    def ago(n: int) -> np.ndarray:
        return np.concatenate([np.full(n, np.nan), c])[: len(c)]

    def ema(values: np.ndarray, span: int) -> np.ndarray:
        return smoothed(values, 2 / (span + 1))

    out: dict[str, np.ndarray] = {}
    for n in (1, 5, 10, 20):
        out[f"return_{n}"] = c / ago(n) - 1
    for n in (10, 20):
        out[f"volatility_{n}"] = deviation(windows(out["return_1"], n), ddof=1)
    for n in (5, 20, 50):
        out[f"sma_ratio_{n}"] = c / windows(c, n).mean(axis=1) - 1
    for n in (12, 26):
        out[f"ema_ratio_{n}"] = c / ema(c, n) - 1
    macd = ema(c, 12) - ema(c, 26)
    out["macd_hist"] = (macd - ema(macd, 9)) / c
    change = c - ago(1)
    gain, loss = smoothed(np.maximum(change, 0), 1 / 14), smoothed(np.maximum(-change, 0), 1 / 14)
    out["rsi_14"] = 100 * ratio(gain, gain + loss)
    last_20 = windows(c, 20)
    mean, spread = last_20.mean(axis=1), deviation(last_20, ddof=0)
    out["bollinger_b_20"] = ratio(c - (mean - 2 * spread), 4 * spread)
    true_range = np.fmax(h - l, np.fmax(abs(h - ago(1)), abs(l - ago(1))))
    out["atr_14"] = smoothed(true_range, 1 / 14) / c
    volume_20 = windows(v, 20)
    out["volume_zscore_20"] = ratio(v - volume_20.mean(axis=1), deviation(volume_20, ddof=1))
    out["volume_ratio_5_20"] = ratio(windows(v, 5).mean(axis=1), volume_20.mean(axis=1))
    out["range_1"] = (h - l) / c
    out["gap_1"] = o / ago(1) - 1
    lowest, highest = windows(l, 14).min(axis=1), windows(h, 14).max(axis=1)
    out["stochastic_k_14"] = ratio(c - lowest, highest - lowest)
    return pd.DataFrame(out, index=series.ts)[50:]


def labels(series: pd.DataFrame) -> pd.DataFrame:
    """Return the forward returns of one series of adjusted bars and when they are known, indexed by ts."""
    close = series.set_index("ts").close.astype(float)
    known_at = series.set_index("ts").known_at
    out = {}
    for h in HORIZONS:
        out[f"forward_return_{h}"] = close.shift(-h) / close - 1
        out[f"known_at_{h}"] = known_at.shift(-h)
    return pd.DataFrame(out)


def of_all(bars: pd.DataFrame, compute: object) -> pd.DataFrame:
    """Apply `features` or `labels` to every series of a frame of bars; indexed by ticker, timeframe and ts."""
    parts = {
        key: compute(group)  # type: ignore[operator]
        for key, group in adjusted(bars).sort_values("ts").groupby(["ticker", "timeframe"])
    }
    there = {key: part for key, part in parts.items() if len(part)}
    return pd.concat(there, names=["ticker", "timeframe"]) if there else pd.DataFrame()


def differences(actual: pd.DataFrame, expected: pd.DataFrame) -> pd.DataFrame:
    """Return the cells that are not equal to a relative 1e-6 (absolute floor 1e-9), or NULL in one only."""
    names = list(expected.columns)
    left, right = actual[names].astype(float), expected[names].astype(float)
    assert left.index.equals(right.index), f"other rows: {left.index.symmetric_difference(right.index)[:5].tolist()}"
    apart = (left - right).abs() > np.maximum(1e-9, 1e-6 * right.abs())
    apart |= left.isna() != right.isna()
    if not apart.to_numpy().any():
        return pd.DataFrame(columns=["actual", "expected"])
    return pd.DataFrame({"actual": left.stack(future_stack=True), "expected": right.stack(future_stack=True)})[
        apart.stack(future_stack=True)
    ]
