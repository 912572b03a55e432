"""How fast features are built, in full beside polars end to end, and by one day beside half of the history."""

from __future__ import annotations

import statistics
import tempfile
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text

from benchmarks.row import Row, seconds
from benchmarks.trained import DAILY
from mlops.features import BuildResult, build
from mlops.sources import FileSource, ingest_bars
from mlops.warehouse import Warehouse

if TYPE_CHECKING:
    import polars as pl

_RUNS = 5
_DAYS = 9
_HALF = date(2015, 2, 11)
"""The middle of the file's dates."""


def run(url: str) -> list[Row]:
    """Measure in the migrated, empty database `url`; no rows where the data is absent.

    Our seconds are those inside the database, by dbt's own run results; those of polars are from its first query to its
    last commit. Full builds take turns with polars.
    """
    if not DAILY.exists():
        return []
    with tempfile.TemporaryDirectory() as folder, Warehouse(url) as warehouse:
        half = _half(Path(folder))
        ingest_bars(warehouse, FileSource(half))
        build(warehouse)
        short = _one_more_day(warehouse, Path(folder))
        ingest_bars(warehouse, FileSource(DAILY))
        build(warehouse)
        long = _one_more_day(warehouse, Path(folder))
        ours, theirs = [], []
        for _ in range(_RUNS):
            _settle(warehouse)
            # One model at a time: dbt would build both at once, and each would be measured with the other's load.
            ours.append(build(warehouse, full_refresh=True, select="technical").model("features.technical").seconds)
            _settle(warehouse)
            theirs.append(seconds(lambda: _polars(warehouse)))
        full = statistics.median(ours)
        labels = build(warehouse, full_refresh=True, select="forward").model("labels.forward").seconds
        polars = statistics.median(theirs)
    level, twice = full <= 1.1 * polars, long <= 1.2 * short
    return [
        Row("full build of features, 606,801 bars", full, "s", "polars: load, compute, write", polars, "level", level),
        Row("full build of labels", labels, "s", "the features", full, "-", True),
        Row("features and labels of one more day", long, "s", "1.5 s", 1.5, "at most", long <= 1.5),
        Row("the same with twice the history", long, "s", "half of the history", short, "at most 1.2 times", twice),
    ]


def _settle(warehouse: Warehouse) -> None:
    """Write out and vacuum what was done before, so that what is measured next does not pay for it."""
    with warehouse.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM (ANALYZE)"))
        connection.execute(text("CHECKPOINT"))


def _half(folder: Path) -> Path:
    import polars as pl

    path = folder / "half.parquet"
    pl.read_parquet(DAILY).filter(pl.col("date").cast(pl.Date) >= _HALF).write_parquet(path)
    return path


def _one_more_day(warehouse: Warehouse, folder: Path) -> float:
    """Return the median seconds of a build after a new day came in for all symbols, over _DAYS days."""
    import polars as pl

    query = """
        SELECT session FROM market.sessions
        WHERE exchange = 'XNYS' AND opens_at > (SELECT max(ts) FROM market.bars) ORDER BY session LIMIT :n
    """
    with warehouse.begin() as connection:
        days = connection.execute(text(query), {"n": _DAYS + 1}).scalars().all()
    last = pl.read_parquet(DAILY).drop_nulls().filter(pl.col("date") == pl.col("date").max())
    taken = []
    _settle(warehouse)
    for day in days:
        last = last.with_columns(pl.lit(day).alias("date"), pl.col("open", "high", "low", "close") * 1.001)
        path = folder / f"{day}.parquet"
        last.write_parquet(path)
        ingest_bars(warehouse, FileSource(path))
        taken.append(_rows_of_models(build(warehouse)))
    return statistics.median(taken[1:])


def _rows_of_models(result: BuildResult) -> float:
    return result.model("features.technical").seconds + result.model("labels.forward").seconds


def _polars(warehouse: Warehouse) -> None:
    """Do the same with polars: load the bars by ADBC, compute the features, write them into an equal hypertable."""
    import adbc_driver_postgresql.dbapi as adbc
    import polars as pl

    query = """
        SELECT symbol_id, timeframe, ts, known_at, recorded_at, open, high, low, close, volume, adj_close
        FROM market.bars ORDER BY symbol_id, timeframe, ts
    """
    with adbc.connect(warehouse.plain_url) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        bars = pl.from_arrow(cursor.fetch_arrow_table())
    assert isinstance(bars, pl.DataFrame)
    features = _features(bars)
    with warehouse.begin(role=None) as connection:
        connection.execute(text("DROP TABLE IF EXISTS public.polars_technical"))
        columns = ", ".join(
            f'"{name}" {_TYPES.get(str(kind), "timestamptz NOT NULL")}' for name, kind in features.schema.items()
        )
        connection.execute(
            text(f"CREATE TABLE public.polars_technical ({columns}, PRIMARY KEY (symbol_id, timeframe, ts))")
        )
        connection.execute(
            text(
                "SELECT public.create_hypertable('public.polars_technical', public.by_range('ts', INTERVAL '1 year'), "
                "create_default_indexes => false)"
            )
        )
    with adbc.connect(warehouse.plain_url) as connection:
        with connection.cursor() as cursor:
            cursor.adbc_ingest("polars_technical", features.to_arrow(), mode="append", db_schema_name="public")
        connection.commit()


_TYPES = {"Int64": "bigint", "String": "text", "Float64": "double precision"}


def _features(bars: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    key = ["symbol_id", "timeframe"]
    factor = pl.col("adj_close") / pl.col("close")
    bars = bars.with_columns(
        *[pl.coalesce(pl.col(name) * factor, pl.col(name)).alias(name[0]) for name in ("open", "high", "low", "close")],
        pl.coalesce(pl.col("volume") / factor, pl.col("volume")).alias("v"),
    )
    close, high, low, volume = pl.col("c"), pl.col("h"), pl.col("l"), pl.col("v")
    bars = bars.with_columns(
        (close / close.shift(1).over(key) - 1).alias("return_1"),
        close.shift(1).over(key).alias("before"),
        close.ewm_mean(span=12, adjust=False).over(key).alias("ema_12"),
        close.ewm_mean(span=26, adjust=False).over(key).alias("ema_26"),
        pl.int_range(pl.len()).over(key).alias("nth"),
    )
    bars = bars.with_columns(
        (pl.col("ema_12") - pl.col("ema_26")).alias("macd"), (close - pl.col("before")).alias("change")
    )

    def wilder(expression: pl.Expr) -> pl.Expr:
        return expression.ewm_mean(alpha=1 / 14, adjust=False, ignore_nulls=True).over(key)

    up, down = wilder(pl.col("change").clip(lower_bound=0)), wilder((-pl.col("change")).clip(lower_bound=0))
    mean, deviation = close.rolling_mean(20).over(key), close.rolling_std(20, ddof=0).over(key)
    lowest, highest = low.rolling_min(14).over(key), high.rolling_max(14).over(key)
    true_range = pl.max_horizontal("h", "before") - pl.min_horizontal("l", "before")
    return bars.select(
        *key, "ts", pl.col("known_at").alias("as_of"), pl.col("known_at").cum_max().over(key),
        pl.col("recorded_at").cum_max().over(key), pl.lit("technical-1").alias("feature_set_version"), "return_1",
        *[(close / close.shift(n).over(key) - 1).alias(f"return_{n}") for n in (5, 10, 20)],
        *[pl.col("return_1").rolling_std(n).over(key).alias(f"volatility_{n}") for n in (10, 20)],
        *[(close / close.rolling_mean(n).over(key) - 1).alias(f"sma_ratio_{n}") for n in (5, 20, 50)],
        (close / pl.col("ema_12") - 1).alias("ema_ratio_12"), (close / pl.col("ema_26") - 1).alias("ema_ratio_26"),
        ((pl.col("macd") - pl.col("macd").ewm_mean(span=9, adjust=False).over(key)) / close).alias("macd_hist"),
        (100 * up / (up + down)).alias("rsi_14"),
        ((close - (mean - 2 * deviation)) / (4 * deviation)).alias("bollinger_b_20"),
        (wilder(true_range) / close).alias("atr_14"),
        ((volume - volume.rolling_mean(20).over(key)) / volume.rolling_std(20).over(key)).alias("volume_zscore_20"),
        (volume.rolling_mean(5).over(key) / volume.rolling_mean(20).over(key)).alias("volume_ratio_5_20"),
        ((high - low) / close).alias("range_1"), (pl.col("o") / pl.col("before") - 1).alias("gap_1"),
        ((close - lowest) / (highest - lowest)).alias("stochastic_k_14"), "nth",
    ).filter(pl.col("nth") >= 50).drop("nth")  # fmt: skip
