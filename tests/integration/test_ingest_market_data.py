"""Real market data, as found, defects included; skipped where the folder of it is absent."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import exchange_calendars
import numpy as np
import pandas as pd
import pytest
from sqlalchemy import text

from mlops.sources import FileSource, Ingested, ingest_bars, ingest_earnings
from mlops.warehouse import Warehouse

DATA = Path(__file__).parents[3] / "shared" / "data"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data, the market data for development, is absent")


def counts(ingested: Ingested) -> tuple[int, int, int, int, int]:
    return ingested.read, ingested.new, ingested.changed, ingested.unchanged, ingested.rejected


def frame(warehouse: Warehouse, query: str) -> pd.DataFrame:
    with warehouse.begin(role=None) as connection:
        return pd.DataFrame(connection.execute(text(query)).all())


def test_daily_bars_of_500_stocks_and_their_earnings(warehouse: Warehouse) -> None:
    bars = pd.read_parquet(DATA / "us_equities_daily.parquet")
    prices = bars[["open", "high", "low", "close"]]
    sessions = exchange_calendars.get_calendar("XNYS", start="2012-01-01", end="2017-12-31").sessions
    good = (
        prices.notna().all(axis=1)
        & (prices > 0).all(axis=1)
        & (bars.low <= bars[["open", "close"]].min(axis=1))
        & (bars.high >= bars[["open", "close"]].max(axis=1))
        & ~(bars.volume < 0)
        & bars.date.isin(sessions)
        & ~bars.duplicated(["symbol", "date"])
    )
    n_bad = int((~good).sum())
    assert n_bad > 384, "the data's README counts as many without an open alone"

    ingested = ingest_bars(warehouse, FileSource(DATA / "us_equities_daily.parquet"))
    assert counts(ingested) == (len(bars), len(bars) - n_bad, 0, 0, n_bad)
    assert ingested.reasons["open is missing"] == bars.open.isna().sum() == 384
    rejected = frame(warehouse, "SELECT line, row FROM market.rejects ORDER BY line")
    assert rejected.line.tolist() == (np.flatnonzero(~good) + 1).tolist()
    assert [row["symbol"] for row in rejected.row] == bars.symbol[~good].tolist()
    assert [row["date"] for row in rejected.row] == bars.date[~good].dt.strftime("%Y-%m-%d").tolist()

    got = frame(
        warehouse,
        "SELECT ticker AS symbol, (ts AT TIME ZONE 'America/New_York')::date AS date, open, high, low, close, volume "
        'FROM market.bars JOIN market.symbols ON id = symbol_id ORDER BY ticker COLLATE "C", ts',
    )
    want = bars[good].sort_values(["symbol", "date"]).reset_index(drop=True)
    assert (got.symbol == want.symbol).all()
    assert (pd.to_datetime(got.date) == want.date).all()
    for column in ("open", "high", "low", "close", "volume"):
        np.testing.assert_array_equal(got[column].to_numpy(dtype=float), want[column].to_numpy(), strict=True)
    assert bars.volume[good].isna().sum() == got.volume.isna().sum()

    again = ingest_bars(warehouse, FileSource(DATA / "us_equities_daily.parquet"))
    assert counts(again) == (len(bars), 0, 0, len(bars) - n_bad, n_bad)

    earnings = pd.read_parquet(DATA / "us_earnings.parquet")
    known = earnings.symbol.isin(want.symbol)
    ingested = ingest_earnings(warehouse, FileSource(DATA / "us_earnings.parquet"))
    assert counts(ingested) == (len(earnings), int(known.sum()), 0, 0, int((~known).sum()))
    reactions = frame(warehouse, "SELECT release, ts, date FROM market.earnings")
    local = pd.to_datetime(reactions.ts, utc=True).dt.tz_convert("America/New_York")
    next_day = pd.to_datetime(reactions.date) + pd.Timedelta(days=1)
    post = reactions.release == "post"
    assert (local[post].dt.tz_localize(None) == next_day[post]).all()
    assert (local[~post].dt.strftime("%H:%M") == "09:30").all()


@pytest.mark.parametrize(
    ("name", "zone", "asset_class", "exchange"),
    [
        ("us_equities_hourly.parquet", "America/New_York", None, "XNYS"),
        ("fx_hourly.parquet", "UTC", "fx", "24/5"),
    ],
)
def test_hourly_bars(warehouse: Warehouse, name: str, zone: str, asset_class: str | None, exchange: str) -> None:
    bars = pd.read_parquet(DATA / name)
    source = FileSource(DATA / name)
    options: dict[str, Any] = {"timeframe": "h1", "timezone": zone, "asset_class": asset_class}
    assert counts(ingest_bars(warehouse, source, **options)) == (len(bars), len(bars), 0, 0, 0)
    assert counts(ingest_bars(warehouse, source, **options)) == (len(bars), 0, 0, len(bars), 0)
    got = frame(
        warehouse,
        "SELECT ticker, ts, known_at, open, high, low, close, volume, exchange FROM market.bars "
        'JOIN market.symbols ON id = symbol_id ORDER BY ticker COLLATE "C", ts',
    )
    want = bars.assign(ts=bars.ts.dt.tz_localize(zone).dt.tz_convert("UTC")).sort_values(["symbol", "ts"])
    assert got.ticker.tolist() == want.symbol.tolist()
    assert (pd.to_datetime(got.ts, utc=True).to_numpy() == want.ts.to_numpy()).all()
    assert set(got.known_at - got.ts) == {timedelta(hours=1)}
    np.testing.assert_array_equal(got[["open", "high", "low", "close"]], want[["open", "high", "low", "close"]])
    if "volume" in bars:
        np.testing.assert_array_equal(got.volume, want.volume)
    else:
        assert got.volume.isna().all()
    assert set(got.exchange) == {exchange}
    covered = frame(warehouse, "SELECT min(session) AS first, max(session) AS last FROM market.sessions").iloc[0]
    assert covered["first"] <= got.ts.min().date()
    assert covered["last"] >= datetime.now(UTC).date() + timedelta(days=300)
