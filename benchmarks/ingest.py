"""How fast a file of daily bars is checked and upserted, beside a COPY that checks nothing, and beside pandas."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text

from benchmarks.row import Row, seconds
from mlops.sources import FileSource, Ingested, ingest_bars
from mlops.warehouse import Warehouse
from mlops.warehouse.copying import copy_arrays

if TYPE_CHECKING:
    import pandas as pd

DAILY = Path(__file__).parents[2] / "shared" / "data" / "us_equities_daily.parquet"
"""503 stocks, 606,801 bars; for use here only."""

_RUNS = 3
_SLICE = 50_000
_EMPTY = "TRUNCATE market.symbols, market.bars, market.superseded_bars, market.ingests RESTART IDENTITY CASCADE"
_EQUAL_TABLE = """
    CREATE TABLE public.bare_bars (LIKE market.bars INCLUDING ALL);
    ALTER TABLE public.bare_bars ALTER timeframe SET DEFAULT 'd1';
    SELECT public.create_hypertable('public.bare_bars', public.by_range('ts', INTERVAL '1 year'),
                                    create_default_indexes => false)
"""
_MEASURED = """
import resource, sys
from mlops.cli.ingest import ingest_app
ingest_app(sys.argv[1:], standalone_mode=False)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def run(url: str) -> list[Row]:
    """Measure ingest in the migrated database `url`, whose bars are thrown away; no rows where the data is absent.

    Each time is the median of three, ours and the alternative's in turn. Start-up and the imports of the first ingest
    are not counted; reading the file is counted with ours, and not with COPY.
    """
    if not DAILY.exists():
        return []
    with Warehouse(url) as warehouse:
        _ingest(warehouse)
        bars = _stored(warehouse)
        _execute(warehouse, _EQUAL_TABLE)
        try:
            return [*_whole_file(warehouse, bars), _slice_of_it(warehouse, bars), _memory(warehouse, url)]
        finally:
            _execute(warehouse, "DROP TABLE public.bare_bars")
            _execute(warehouse, _EMPTY)


def _whole_file(warehouse: Warehouse, bars: pd.DataFrame) -> list[Row]:
    columns = {name: bars[name].to_numpy() for name in bars.columns}

    def bare() -> None:
        with warehouse.begin(role=None) as connection:
            copy_arrays(connection, "public.bare_bars", columns)

    first, again, copied = [], [], []
    for _ in range(_RUNS):
        _execute(warehouse, "TRUNCATE public.bare_bars")
        copied.append(seconds(bare))
        _execute(warehouse, _EMPTY)
        first.append(seconds(lambda: _ingest(warehouse)))
        again.append(seconds(lambda: _ingest(warehouse)))
    copy, new, same = (sorted(times)[_RUNS // 2] for times in (copied, first, again))
    rows = f"{len(bars):,} daily bars"
    return [
        Row(
            f"ingest {rows} into an empty table", new, "s", "bare COPY BINARY", copy, "at most 3 times", new <= 3 * copy
        ),
        Row("the same file again", same, "s", "the first time", new, "no slower", same <= new),
    ]


def _slice_of_it(warehouse: Warehouse, bars: pd.DataFrame) -> Row:
    """Give pandas a part that it can finish, and ourselves the same: the ratio is of equal rows."""
    import pandas as pd

    part = bars.head(_SLICE).assign(timeframe="d1")
    for name in ("ts", "known_at", "recorded_at"):
        part[name] = part[name].dt.tz_localize("UTC")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "slice.parquet"
        pd.read_parquet(DAILY).head(_SLICE).to_parquet(file)
        ours, theirs = [], []
        for _ in range(_RUNS):
            _execute(warehouse, "TRUNCATE public.bare_bars")
            theirs.append(
                seconds(
                    lambda: part.to_sql("bare_bars", warehouse.engine, schema="public", if_exists="append", index=False)
                )
            )
            _execute(warehouse, _EMPTY)
            ours.append(seconds(lambda: _ingest(warehouse, file)))
    our, their = sorted(ours)[_RUNS // 2], sorted(theirs)[_RUNS // 2]
    return Row(f"ingest {_SLICE:,} of them", our, "s", "pandas.to_sql, unchecked", their, "faster", our < their)


def _memory(warehouse: Warehouse, url: str) -> Row:
    _execute(warehouse, _EMPTY)
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, "bars", str(DAILY), "--database-url", url],
        capture_output=True,
        text=True,
        check=True,
    )
    mebibytes = int(done.stdout.split()[-1]) / (1024 if sys.platform != "darwin" else 1024**2)
    return Row("peak memory of that command", mebibytes, "MiB", "2 GiB", 2048, "at most", mebibytes <= 2048)


def _ingest(warehouse: Warehouse, file: Path = DAILY) -> Ingested:
    return ingest_bars(warehouse, FileSource(file))


def _stored(warehouse: Warehouse) -> pd.DataFrame:
    """Return the bars that were taken in, in the order of the key, as COPY wants them: naive UTC and no NULL."""
    import pandas as pd

    query = (
        "SELECT symbol_id, ts, open, high, low, close, coalesce(volume, 0) AS volume, known_at, recorded_at "
        "FROM market.bars ORDER BY symbol_id, ts"
    )
    with warehouse.begin(role=None) as connection:
        bars = pd.DataFrame(connection.execute(text(query)).all())
    for name in ("ts", "known_at", "recorded_at"):
        bars[name] = bars[name].dt.tz_convert("UTC").dt.tz_localize(None).astype("datetime64[us]")
    return bars


def _execute(warehouse: Warehouse, statements: str) -> None:
    with warehouse.begin(role=None) as connection:
        connection.execute(text(statements))
