"""Every feature and label equals an independent computation in pandas, on real data and on awkward data."""

from __future__ import annotations

from collections.abc import Callable

import bars as market
import numpy as np
import pandas as pd
import psycopg
import pytest
import technical_oracle as oracle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from technical import HORIZONS, TECHNICAL_FEATURES

from mlops.features import build
from mlops.warehouse import Warehouse


def built(url: str, bars: pd.DataFrame) -> str:
    market.put(url, bars)
    with Warehouse(url) as warehouse:
        build(warehouse)
    return url


def random_walk(seed: int, n: int, ticker: str = "WALK") -> pd.DataFrame:
    """Return n daily bars of a random walk, in market.COLUMNS."""
    rng = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.02, n)))
    open_ = close * np.exp(rng.normal(0, 0.01, n))
    ts = pd.date_range("2020-01-01 14:30", periods=n, freq="D", tz="UTC")
    return pd.DataFrame(
        {
            "ticker": ticker, "timeframe": "d1", "ts": ts, "known_at": ts + pd.Timedelta(hours=6.5), "open": open_,
            "high": np.maximum(open_, close) * (1 + rng.uniform(0, 0.01, n)),
            "low": np.minimum(open_, close) * (1 - rng.uniform(0, 0.01, n)),
            "close": close, "volume": rng.integers(0, 10**7, n).astype(float), "adj_close": None,
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def sample() -> pd.DataFrame:
    return market.sample_bars()


@pytest.fixture(scope="module")
def sample_url(cloned: Callable[..., str], sample: pd.DataFrame) -> str:
    return built(cloned(), sample)


def test_features_of_the_sample_equal_the_oracle(sample: pd.DataFrame, sample_url: str) -> None:
    actual, expected = market.table(sample_url, "features.technical"), oracle.of_all(sample, oracle.features)
    assert tuple(expected.columns) == TECHNICAL_FEATURES
    assert len(expected) > 11_000
    assert oracle.differences(actual, expected).empty


def test_labels_of_the_sample_equal_the_oracle(sample: pd.DataFrame, sample_url: str) -> None:
    actual, expected = market.table(sample_url, "analytics.label_history"), oracle.of_all(sample, oracle.labels)
    returns = [f"forward_return_{h}" for h in HORIZONS]
    assert oracle.differences(actual, expected[returns]).empty
    for h in HORIZONS:
        pd.testing.assert_series_equal(
            pd.to_datetime(actual[f"known_at_{h}"], utc=True), expected[f"known_at_{h}"], check_dtype=False
        )
        threshold = {1: 0.005, 5: 0.011, 10: 0.016, 20: 0.022}[h]
        forward = expected[f"forward_return_{h}"]
        direction = pd.Series("NEUTRAL", index=forward.index)
        direction[forward > threshold] = "BULLISH"
        direction[forward < -threshold] = "BEARISH"
        direction[forward.isna()] = None
        assert (actual[f"direction_{h}"].fillna("") == direction.fillna("")).all()


def test_labels_by_horizon_are_the_known_ones(sample_url: str) -> None:
    wide = market.table(sample_url, "analytics.label_history")
    long = market.table(sample_url, "labels.by_horizon")
    for h in HORIZONS:
        known = wide[wide[f"forward_return_{h}"].notna()]
        of_h = long[long.horizon == h]
        assert len(of_h) == len(known) == len(wide) - h * wide.index.get_level_values("ticker").nunique()
        assert (of_h.forward_return.sort_index() == known[f"forward_return_{h}"].sort_index()).all()
        assert (of_h.direction.sort_index() == known[f"direction_{h}"].sort_index()).all()
        assert (of_h.known_at > of_h.as_of).all()


@pytest.mark.skipif(not market.SHARED_DATA.is_dir(), reason="the folder shared/data is not beside the checkout")
def test_features_of_real_stocks_and_hourly_bars_equal_the_oracle(cloned: Callable[..., str]) -> None:
    stocks = market.stocks()
    every_ninth = stocks[stocks.ticker.isin(sorted(stocks.ticker.unique())[::9])]
    bars = pd.concat([every_ninth, market.hourly_bars("AAPL")])
    actual = market.table(built(cloned(), bars), "features.technical")
    expected = oracle.of_all(bars, oracle.features)
    assert expected.index.get_level_values("ticker").nunique() == 56 + 1 - ("AAPL" in every_ninth.ticker.unique())
    assert len(expected.loc[("AAPL", "h1")]) > 15_000
    assert oracle.differences(actual, expected).empty


LATE = pd.Timestamp("2020-03-30", tz="UTC")


@pytest.fixture(scope="module")
def made_up() -> pd.DataFrame:
    """Series that each show one thing; a test of its own says which."""
    late = random_walk(1, 60, "LATE")
    late.loc[53, "known_at"] = LATE  # the source says that bar 53 became known only after all others
    flat = random_walk(2, 120, "FLAT").assign(volume=1_000.0, open=17.3, high=17.3, low=17.3, close=17.3)
    gap = random_walk(3, 120, "GAP")
    gap.loc[60, "volume"] = None
    silent = random_walk(4, 120, "SILENT").assign(volume=0.0)
    short, longer, one = random_walk(5, 50, "SHORT"), random_walk(5, 51, "LONGER"), random_walk(5, 1, "ONE")
    whole = random_walk(6, 150, "WHOLE").assign(adj_close=lambda bars: bars.close)
    split_later = whole.assign(adj_close=whole.close / 7, ticker="SPLIT LATER")
    split = whole.assign(ticker="SPLIT")
    before = split.index < 100  # before a 4:1 split, prices were four times as high
    split.loc[before, market.PRICES] *= 4
    split.loc[before, "volume"] /= 4
    return pd.concat([late, flat, gap, silent, short, longer, one, whole, split_later, split], ignore_index=True)


@pytest.fixture(scope="module")
def made_up_url(cloned: Callable[..., str], made_up: pd.DataFrame) -> str:
    return built(cloned(), made_up)


@pytest.fixture(scope="module")
def rows(made_up_url: str) -> pd.DataFrame:
    return market.table(made_up_url, "features.technical")


def test_features_of_made_up_series_equal_the_oracle(made_up: pd.DataFrame, rows: pd.DataFrame) -> None:
    assert oracle.differences(rows, oracle.of_all(made_up, oracle.features)).empty


def test_times_of_a_row_are_those_of_the_bars_it_was_computed_from(made_up: pd.DataFrame, rows: pd.DataFrame) -> None:
    of_late = rows.loc["LATE"]
    assert (of_late.as_of == made_up[made_up.ticker == "LATE"].known_at[50:].to_numpy()).all()
    assert (of_late.known_at[:3] == of_late.as_of[:3]).all()
    assert (of_late.known_at[3:] == LATE).all()


def test_a_zero_denominator_gives_null(rows: pd.DataFrame) -> None:
    of_flat = rows.loc["FLAT"]
    assert of_flat[["rsi_14", "bollinger_b_20", "stochastic_k_14", "volume_zscore_20"]].isna().all(axis=None)
    still = ["volatility_10", "volatility_20", "atr_14", "macd_hist", "range_1", "gap_1", "return_20", "sma_ratio_50"]
    assert of_flat[still].to_numpy(dtype=float) == pytest.approx(0, abs=1e-15)
    assert (of_flat.volume_ratio_5_20 == 1).all()
    assert rows.loc["SILENT"][["volume_zscore_20", "volume_ratio_5_20"]].isna().all(axis=None)


def test_a_missing_volume_is_felt_for_twenty_bars_and_no_longer(rows: pd.DataFrame) -> None:
    missing = rows.loc["GAP"][["volume_zscore_20", "volume_ratio_5_20"]].isna()
    assert (missing.volume_zscore_20 == missing.volume_ratio_5_20).all()
    assert missing.volume_zscore_20.tolist() == [60 <= i < 80 for i in range(50, 120)]


def test_fifty_bars_have_no_row_and_the_next_has(rows: pd.DataFrame, made_up_url: str) -> None:
    tickers = rows.index.get_level_values("ticker")
    assert (tickers == "LONGER").sum() == 1
    assert not {"SHORT", "ONE"} & set(tickers)
    labels = market.table(made_up_url, "analytics.label_history")
    assert len(labels.loc["SHORT"]) == 50
    assert labels.loc["ONE"][[f"forward_return_{h}" for h in HORIZONS]].isna().all(axis=None)


def test_a_later_split_leaves_the_features_as_they_were(rows: pd.DataFrame) -> None:
    """Adjusting all history by one factor, as a later split does, changes no feature: back-adjustment does not leak."""
    assert oracle.differences(rows.loc["SPLIT LATER"], rows.loc["WHOLE"][list(TECHNICAL_FEATURES)]).empty


def test_a_split_is_adjusted_away(rows: pd.DataFrame) -> None:
    assert oracle.differences(rows.loc["SPLIT"], rows.loc["WHOLE"][list(TECHNICAL_FEATURES)]).empty


def test_technical_at_is_the_row_of_the_table(sample: pd.DataFrame, sample_url: str) -> None:
    rows = market.table(sample_url, "features.technical").reset_index()
    picked = rows.sample(40, random_state=0)
    with psycopg.connect(sample_url) as connection:
        for row in picked.itertuples():
            at = "SELECT * FROM features.technical_at(%s, %s, %s)"
            cursor = connection.execute(at, (row.symbol_id, row.timeframe, row.as_of))
            assert [column.name for column in cursor.description or ()] == ["ts", "as_of", *TECHNICAL_FEATURES]
            found = cursor.fetchall()
            assert len(found) == 1
            assert found[0][:2] == (row.ts, row.as_of)
            assert found[0][2:] == pytest.approx(
                [getattr(row, name) for name in TECHNICAL_FEATURES], rel=1e-9, abs=1e-12
            )
            just_before = connection.execute(
                at, (row.symbol_id, row.timeframe, row.as_of - pd.Timedelta(seconds=1))
            ).fetchone()
            assert just_before is None or just_before[0] < row.ts
        first = sample[sample.ticker == "AAPL"].known_at.iloc[49]
        symbol = int(rows[rows.ticker == "AAPL"].symbol_id.iloc[0])
        assert connection.execute(at, (symbol, "d1", first)).fetchall() == []


@st.composite
def awkward_bars(draw: st.DrawFn) -> pd.DataFrame:
    """Give a series with jumps, calms in which nothing moves, gaps in volume, and volumes of very unlike size."""
    n = draw(st.integers(51, 140))
    walk = random_walk(draw(st.integers(0, 2**32 - 1)), n, "ODD")
    scale = 10.0 ** draw(st.integers(-6, 6))
    walk[market.PRICES] *= scale
    for start in draw(st.lists(st.integers(0, n - 1), max_size=3)):
        calm = walk.index[start : start + draw(st.integers(1, 30))]
        walk.loc[calm, market.PRICES] = float(walk.close[start])
    for start in draw(st.lists(st.integers(0, n - 1), max_size=2)):
        walk.loc[start:, market.PRICES] *= draw(st.sampled_from([0.01, 0.5, 3.0, 100.0]))
    for start in draw(st.lists(st.integers(0, n - 1), max_size=3)):
        some = walk.index[start : start + draw(st.integers(1, 25))]
        walk.loc[some, "volume"] = draw(st.sampled_from([None, 0.0, 1.0, 1e12]))
    return walk


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(odd=awkward_bars())
def test_features_of_awkward_series_equal_the_oracle(made_up_url: str, odd: pd.DataFrame) -> None:
    """Asked of technical_at, which is made from the same macro as the table and needs no build."""
    market.put(made_up_url, odd)
    expected = oracle.of_all(odd, oracle.features)
    with psycopg.connect(made_up_url) as connection:
        for i in sorted({50, (len(odd) + 49) // 2, len(odd) - 1}):
            found = connection.execute(
                "SELECT at.* FROM market.symbols, features.technical_at(id, 'd1', %s) AS at WHERE ticker = 'ODD'",
                (odd.known_at[i],),
            ).fetchone()
            assert found is not None
            actual = pd.DataFrame([found[2:]], columns=list(TECHNICAL_FEATURES), index=expected.index[[i - 50]])
            apart = oracle.differences(actual, expected.iloc[[i - 50]])
            assert apart.empty, apart
        connection.execute(
            "DELETE FROM market.bars WHERE symbol_id = (SELECT id FROM market.symbols WHERE ticker = 'ODD')"
        )
