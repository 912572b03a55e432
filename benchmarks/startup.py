"""How fast a process is there: the help, and a forecast up to its first query."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.row import Row, seconds

_RUNS = 5
_UP_TO_THE_FIRST_QUERY = """
import sys
from mlops.cli.commands import app
from mlops.cli.connect import open_warehouse
from mlops.forecasting import forecast
from mlops.scoring import Scorer
import onnxruntime
from sqlalchemy import text
with open_warehouse(sys.argv[1]) as warehouse, warehouse.begin() as connection:
    connection.execute(text("SELECT 1"))
"""


def run(url: str) -> list[Row]:
    """Measure whole processes, imports from a warm file cache."""
    forecastle = str(Path(sys.executable).with_name("forecastle"))
    help_took = seconds(lambda: _run(forecastle, "--help"), runs=_RUNS, warmup=1)
    query_took = seconds(lambda: _run(sys.executable, "-c", _UP_TO_THE_FIRST_QUERY, url), runs=_RUNS, warmup=1)
    return [
        Row("forecastle --help", help_took, "s", "0.5 s", 0.5, "at most", help_took <= 0.5),
        Row("a forecast process up to its first query", query_took, "s", "3 s", 3.0, "at most", query_took <= 3),
    ]


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
