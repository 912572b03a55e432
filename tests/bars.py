"""Real and made-up bars for tests, and how they come into market.bars without the help of ingest."""

from __future__ import annotations

import io
from importlib.resources import files
from pathlib import Path

import pandas as pd
import psycopg

SHARED_DATA = Path(__file__).parents[1] / "../shared/data"
"""Real market data that lies beside the checkout where we develop; not part of the project."""

PRICES = ["open", "high", "low", "close"]
COLUMNS = ["ticker", "timeframe", "ts", "known_at", *PRICES, "volume", "adj_close"]


def sample_bars() -> pd.DataFrame:
    """Return the daily bars of AAPL, FB, GOOG, IBM and MSFT that the package bokeh-sampledata ships, in COLUMNS."""
    with files("bokeh_sampledata").joinpath("_data/stocks.csv.gz").open("rb") as file:
        frame = pd.read_csv(file, compression="gzip")
    frame = frame.rename(columns=lambda name: name.lower().replace(" ", "_"))
    return _daily(frame)


def stocks() -> pd.DataFrame:
    """Return the daily bars of 503 stocks from SHARED_DATA, in COLUMNS, not adjusted any further."""
    frame = pd.read_parquet(SHARED_DATA / "us_equities_daily.parquet").rename(columns={"symbol": "ticker"})
    return _daily(frame.assign(adj_close=None))


def hourly_bars(ticker: str) -> pd.DataFrame:
    """Return the hourly bars of AAPL or SPY from SHARED_DATA, in COLUMNS, splits and all."""
    frame = pd.read_parquet(SHARED_DATA / "us_equities_hourly.parquet").rename(columns={"symbol": "ticker"})
    frame = frame[frame.ticker == ticker]
    ts = frame.ts.dt.tz_localize("America/New_York", ambiguous=True, nonexistent="shift_forward").dt.tz_convert("UTC")
    frame = frame.assign(timeframe="h1", ts=ts, known_at=ts + pd.Timedelta(hours=1), adj_close=None)
    return _possible(frame.drop_duplicates("ts"))


def _daily(frame: pd.DataFrame) -> pd.DataFrame:
    day = pd.to_datetime(frame["date"], utc=True)
    return _possible(
        frame.assign(timeframe="d1", ts=day + pd.Timedelta(hours=14, minutes=30), known_at=day + pd.Timedelta(hours=21))
    )


def _possible(frame: pd.DataFrame) -> pd.DataFrame:
    """Leave out what ingest would reject."""
    possible = (
        frame[PRICES].notna().all(axis=1)
        & (frame.low > 0)
        & (frame.low <= frame[["open", "close"]].min(axis=1))
        & (frame.high >= frame[["open", "close"]].max(axis=1))
    )
    return frame.loc[possible, COLUMNS].sort_values(["ticker", "timeframe", "ts"]).reset_index(drop=True)


def put(url: str, bars: pd.DataFrame) -> None:
    """Insert the bars of a frame with COLUMNS, or correct those that are there; symbols are added as they come."""
    text = io.StringIO()
    bars[COLUMNS].to_csv(text, header=False, index=False)
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO monitoring.locks VALUES ('market.bars') ON CONFLICT DO NOTHING")
        connection.execute("SELECT FROM monitoring.locks WHERE name = 'market.bars' FOR UPDATE")
        connection.execute(
            "CREATE TEMP TABLE came (ticker text, timeframe text, ts timestamptz, known_at timestamptz, open float8, "
            "high float8, low float8, close float8, volume float8, adj_close float8) ON COMMIT DROP"
        )
        with connection.cursor() as cursor, cursor.copy("COPY came FROM STDIN (FORMAT csv)") as copy:
            copy.write(text.getvalue())
        connection.execute(
            "INSERT INTO market.symbols (ticker, asset_class, exchange, timezone) "
            "SELECT DISTINCT ticker, 'equity', 'XNYS', 'America/New_York' FROM came ORDER BY ticker "
            "ON CONFLICT DO NOTHING"
        )
        connection.execute(
            "INSERT INTO market.bars (symbol_id, timeframe, ts, known_at, open, high, low, close, volume, adj_close, "
            "                         recorded_at) "
            "SELECT id, timeframe, ts, known_at, open, high, low, close, volume, adj_close, now.now "
            "FROM came JOIN market.symbols USING (ticker), (SELECT clock_timestamp() AS now) now "
            "ON CONFLICT (symbol_id, timeframe, ts) DO UPDATE SET known_at = excluded.known_at, open = excluded.open, "
            "high = excluded.high, low = excluded.low, close = excluded.close, volume = excluded.volume, "
            "adj_close = excluded.adj_close, recorded_at = excluded.recorded_at"
        )


def table(url: str, relation: str) -> pd.DataFrame:
    """Return a relation that has symbol_id, timeframe and ts, with the ticker, indexed by ticker, timeframe and ts."""
    with psycopg.connect(url) as connection:
        cursor = connection.execute(
            f"SELECT s.ticker, t.* FROM {relation} t JOIN market.symbols s ON s.id = t.symbol_id "
            "ORDER BY s.ticker, t.timeframe, t.ts"
        )
        frame = pd.DataFrame(cursor.fetchall(), columns=[column.name for column in cursor.description or ()])
        frame = frame.loc[:, ~frame.columns.duplicated()]
    for column in ("ts", "as_of", "known_at", "recorded_at"):
        if column in frame:
            frame[column] = pd.to_datetime(frame[column], utc=True)
    return frame.set_index(["ticker", "timeframe", "ts"])
