"""How fast the training matrix of 503 stocks is read into numpy, beside connectorx, ADBC and pandas.

Two queries, each the same for all: the 22 columns of one table, which is reading alone; and the join of training rows,
features and labels that training really reads. Everybody ends with one numpy array of float64 [rows, 22].
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from sqlalchemy import text

from benchmarks.row import Row, seconds
from mlops import clock, datasets
from mlops.datasets import Materialised
from mlops.features import build
from mlops.sources import FileSource, ingest_bars
from mlops.spec import Spec
from mlops.training import find_spec
from mlops.warehouse import Warehouse
from mlops.warehouse.feature_sets import read_feature_set
from mlops.warehouse.reading import read_arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray

DAILY = Path(__file__).parents[2] / "shared" / "data" / "us_equities_daily.parquet"
"""503 stocks, 606,801 bars; for use here only."""

LAST_DAY = "2017-08-11"

SPEC = "stocks_d1/gbm"

_RUNS = 3
_LABELS = ("forward_return_1", "forward_return_5")
_RETURNS = "l.forward_returns[1] AS forward_return_1, l.forward_returns[2] AS forward_return_5"
_PLAIN = "SELECT * FROM public.training_matrix"
_PACKED = """
    SELECT array_agg(ARRAY[{columns}])
    FROM (SELECT *, row_number() OVER () / 4096 AS pack FROM public.training_matrix) AS numbered
    GROUP BY pack
"""
_MEASURED = """
import resource, sys
from mlops.cli.train import train
train(sys.argv[1], as_of=sys.argv[2], database_url=sys.argv[3], as_json=True)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def run(url: str) -> list[Row]:
    """Measure in the migrated database `url`, which is filled where it is empty; no rows where the data is absent.

    Each time is the median of three, ours and the alternatives' in turn; connecting is counted with all of them.
    """
    if not DAILY.exists():
        return []
    spec = find_spec(SPEC)
    with Warehouse(url) as warehouse:
        _prepare(warehouse)
        run_id = uuid4()
        with warehouse.begin() as connection:
            chosen = datasets.materialise(connection, run_id, spec, clock.parse_as_of(LAST_DAY))
        try:
            return [
                *_one_table(warehouse, chosen.feature_set.names),
                _joined(warehouse, run_id, spec, chosen),
                _memory(warehouse.plain_url),
            ]
        finally:
            with warehouse.begin() as connection:
                datasets.clear(connection, run_id)
            _execute(warehouse, "DROP TABLE IF EXISTS public.training_matrix")


def _prepare(warehouse: Warehouse) -> None:
    with warehouse.begin(role=None) as connection:
        built = connection.execute(text("SELECT to_regclass('features.technical') IS NOT NULL")).scalar_one()
    if not built:
        ingest_bars(warehouse, FileSource(DAILY))
        build(warehouse)
    with warehouse.begin(role=None) as connection:
        features = read_feature_set(connection, "technical").names
    columns = ", ".join((*features, *_LABELS))
    _execute(
        warehouse,
        "DROP TABLE IF EXISTS public.training_matrix",
        f"CREATE TABLE public.training_matrix AS SELECT {columns} FROM features.technical "
        f"JOIN (SELECT symbol_id, timeframe, ts, {_RETURNS} FROM labels.forward AS l) AS l "
        "USING (symbol_id, timeframe, ts) "
        f"WHERE num_nulls({columns}) = 0",
        "ANALYZE public.training_matrix",
    )


def _one_table(warehouse: Warehouse, features: tuple[str, ...]) -> list[Row]:
    packed = text(_PACKED.format(columns=", ".join((*features, *_LABELS))))

    def ours() -> NDArray[Any]:
        with Warehouse(warehouse.plain_url) as fresh, fresh.begin(role=None) as connection:
            return read_arrays(connection, packed, {}, ("matrix",))["matrix"]

    readers = {"connectorx": _connectorx, "ADBC": _adbc, "pandas.read_sql": _pandas}
    others = {name: lambda read=read: read(warehouse.plain_url, _PLAIN) for name, read in readers.items()}
    our, theirs = _in_turn(ours, others)
    best = min(theirs["connectorx"], theirs["ADBC"])
    what = f"training matrix, {len(ours()):,} x 22, into numpy"
    return [
        Row(
            what,
            our,
            "s",
            name,
            time,
            "faster" if name == "pandas.read_sql" else "at most 1.2 times the faster of connectorx and ADBC",
            our < time if name == "pandas.read_sql" else our <= 1.2 * best,
        )
        for name, time in theirs.items()
    ]


def _joined(warehouse: Warehouse, run_id: UUID, spec: Spec, chosen: Materialised) -> Row:
    names = ", ".join((*(f"t.{name}" for name in chosen.feature_set.names), _RETURNS))
    query = (
        f"SELECT {names} FROM ml.training_rows r JOIN features.technical t USING (symbol_id, timeframe, ts) "
        f"JOIN labels.forward l USING (symbol_id, timeframe, ts) "
        f"WHERE r.run_id = '{run_id}' AND r.split IN ('train', 'validation', 'test')"
    )

    def ours() -> object:
        with Warehouse(warehouse.plain_url) as fresh, fresh.begin() as connection:
            return datasets.read_matrix(connection, run_id, spec.horizons, chosen)

    our, theirs = _in_turn(ours, {"ADBC": lambda: _adbc(warehouse.plain_url, query)})
    what = f"the same joined, with 4 labels more, ordered and checked, {chosen.n_used:,} rows"
    return Row(what, our, "s", "ADBC, unordered", theirs["ADBC"], "at most 1.2 times", our <= 1.2 * theirs["ADBC"])


def _in_turn(ours: Callable[[], object], theirs: dict[str, Callable[[], object]]) -> tuple[float, dict[str, float]]:
    our: list[float] = []
    their: dict[str, list[float]] = {name: [] for name in theirs}
    for action in (ours, *theirs.values()):
        action()  # the first of each pays for imports and a cold cache
    for _ in range(_RUNS):
        our.append(seconds(ours))
        for name, action in theirs.items():
            their[name].append(seconds(action))
    return sorted(our)[_RUNS // 2], {name: sorted(times)[_RUNS // 2] for name, times in their.items()}


def _connectorx(url: str, query: str) -> NDArray[Any]:
    import connectorx
    import numpy as np

    table = connectorx.read_sql(url, query, return_type="arrow")
    return np.stack([column.to_numpy() for column in table.columns], axis=1)


def _adbc(url: str, query: str) -> NDArray[Any]:
    import numpy as np
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        table = cursor.fetch_arrow_table()
    return np.stack([column.to_numpy() for column in table.columns], axis=1)


def _pandas(url: str, query: str) -> NDArray[Any]:
    import pandas as pd

    with Warehouse(url) as warehouse, warehouse.begin(role=None) as connection:
        return pd.read_sql(text(query), connection).to_numpy()


def _memory(url: str) -> Row:
    """Train once in a process of its own: what a command of this size needs."""
    command = [sys.executable, "-c", _MEASURED, str(SPEC), LAST_DAY, url]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    mebibytes = int(done.stdout.split()[-1]) / 1024
    return Row("peak memory of `forecastle train`", mebibytes, "MiB", "4 GiB", 4096, "at most", mebibytes <= 4096)


def _execute(warehouse: Warehouse, *statements: str) -> None:
    with warehouse.begin(role=None) as connection:
        for statement in statements:
            connection.execute(text(statement))
