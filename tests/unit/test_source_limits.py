"""Files that would take all memory, or never end: each is refused while little of it was read.

Each is read in a process of its own that may take 700 MiB more than it has when it begins.
"""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops.exceptions import SourceError
from mlops.sources import BARS, FileSource
from mlops.sources.values import read_text

HEADER = "symbol,date,open,high,low,close,volume\n"
ROW = "A,2017-06-30,10,11,9,10.5,100\n"
MIB = 1 << 20

READ = """
import resource, sys
from pathlib import Path
import numpy, pyarrow, pyarrow.compute, pyarrow.csv, pyarrow.parquet
from mlops.exceptions import SourceError
from mlops.sources import BARS, FileSource
now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + (700 << 20),) * 2)
n = 0
try:
    for batch in FileSource(Path(sys.argv[1])).batches(BARS):
        n += batch.table.num_rows + len(batch.rejections)
    print(n, "rows")
except SourceError as error:
    print(error)
"""


def read_within_bounds(path: Path) -> str:
    # mimalloc reserves a GiB of addresses, which says nothing of the memory that is used
    environment = {**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def zipped(path: Path, *parts: tuple[str, int]) -> None:
    with gzip.open(path, "wb", compresslevel=6) as file:
        for text, times in parts:
            for _ in range(times):
                file.write(text.encode())


def no_newline(path: Path) -> None:
    zipped(path, ("A" * MIB, 500))


def open_quote(path: Path) -> None:
    zipped(path, (HEADER + ROW + '"', 1), ("A,1\n" * (MIB // 4), 500))


def long_quote(path: Path) -> None:
    zipped(path, (HEADER + ROW + '"', 1), ("A,1\n" * (MIB // 4), 2), ('",2017-06-30,1,1,1,1,1\n' + ROW, 1))


def blank_lines(path: Path) -> None:
    zipped(path, (HEADER + ROW, 1), ("\n" * MIB, 80))


def equal_rows(path: Path) -> None:
    zipped(path, (HEADER, 1), (ROW * 30_000, 100))


def long_header(path: Path) -> None:
    zipped(path, (HEADER.rstrip(), 1), (",c" * MIB, 1), ("\n" + ROW, 1))


def wide_header(path: Path) -> None:
    zipped(path, (HEADER.rstrip(), 1), (",c" * (MIB // 4), 1), ("\n" + ROW, 1))


def parquet(path: Path, n: int, **options: object) -> None:
    """Write `n` equal rows, each value once; `symbol` and `close` may be given."""
    nothing = pa.array(np.zeros(n, dtype=np.int32))
    values = {"symbol": ["A"], "date": ["2017-06-30"], **{name: [1.0] for name in ("open", "high", "low", "close")}}
    values |= {name: [value] for name, value in options.items()}
    table = pa.table({name: pa.DictionaryArray.from_arrays(nothing, pa.array(each)) for name, each in values.items()})
    pq.write_table(table, path, compression="zstd", store_schema=False, row_group_size=n, write_statistics=False)


def repeated_value(path: Path) -> None:
    parquet(path, 131_072, symbol="A" * MIB)


def large_page(path: Path) -> None:
    parquet(path, 1, close="1" * (600 * MIB))


def many_rows(path: Path) -> None:
    parquet(path, 5_000_000)


def large_footer(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b"PAR1")
        file.truncate(40 * MIB)
        file.seek(0, os.SEEK_END)
        file.write((39 * MIB).to_bytes(4, "little") + b"PAR1")


BOMBS: dict[Callable[[Path], None], str] = {
    no_newline: "line 1: a row of more than a MiB",
    open_quote: "line 3: a row of more than a MiB",
    long_quote: "line 3: a row of more than a MiB",
    blank_lines: "unpacks to more than 200 times its size",
    equal_rows: "unpacks to more than 200 times its size",
    long_header: "line 1: a row of more than a MiB",
    wide_header: "has 262,151 columns, and no more than 10,000 are read",
    repeated_value: "131072 rows",
    large_page: "unpacks to 600 MiB in column 'close' of one row group",
    many_rows: "declares 5,000,000 rows in",
    large_footer: "takes 39 MiB to describe itself",
}


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb.__name__)
def test_no_file_takes_all_memory(tmp_path: Path, bomb: Callable[[Path], None]) -> None:
    path = tmp_path / "bars"
    bomb(path)
    said = read_within_bounds(path)
    assert BOMBS[bomb] in said
    assert len(said) < 500


def test_rows_are_handed_on_a_bounded_number_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(HEADER + ROW + "x\n" * 450_000 + ROW * 2)
    batches = list(FileSource(path).batches(BARS))
    assert max(batch.table.num_rows + len(batch.rejections) for batch in batches) <= 200_000
    lines = [rejection.line for batch in batches for rejection in batch.rejections]
    assert lines == list(range(3, 450_003))
    assert [line for batch in batches for line in batch.table.column("line").to_pylist()] == [2, 450_003, 450_004]


def test_a_row_of_a_mib_will_do_and_one_byte_more_will_not(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    note = "n" * (MIB - len(ROW))
    path.write_text(HEADER.replace("\n", ",note\n") + ROW.replace("\n", f",{note}\n") + ROW.replace("\n", ",\n"))
    (batch,) = FileSource(path).batches(BARS)
    assert batch.table.num_rows == 2
    path.write_text(path.read_text().replace("nn", "nnn", 1))
    with pytest.raises(SourceError, match="line 2: a row of more than a MiB"):
        list(FileSource(path).batches(BARS))


def test_a_long_text_in_parquet_is_cut_and_marked(tmp_path: Path) -> None:
    """A number of a thousand digits must not be read as another: the mark makes it none."""
    path = tmp_path / "bars.parquet"
    rows = {name: ["1", "2"] for name in ("open", "high", "low")}
    table = pa.table({"symbol": ["A", "é" * 999], "date": ["2017-06-30"] * 2, "close": ["1" * 999, "2"], **rows})
    pq.write_table(table, path, store_schema=False)
    (batch,) = FileSource(path).batches(BARS)
    assert read_text(batch.table.column("close")).to_pylist() == ["1" * 256 + "…", "2"]
    assert read_text(batch.table.column("symbol")).to_pylist() == ["A", "é" * 256 + "…"]


@pytest.mark.parametrize(
    ("close", "message"),
    [
        (pa.array([[1.0]]), "Column 'close' of .* holds list<.*>: no text, number, date or time"),
        (pa.array([{"x": 1}]), "Column 'close' of .* holds struct<.*>"),
        (pa.array([b"\xe9"]), "Column 'close' of .* holds bytes that are no text in UTF-8"),
        (pa.array([b"12"], pa.binary(2)), "Column 'close' of .* holds fixed_size_binary"),
    ],
)
def test_a_column_of_something_else_is_refused_by_name(tmp_path: Path, close: pa.Array, message: str) -> None:
    path = tmp_path / "bars.parquet"
    rows = {"symbol": ["A"], "date": ["2017-06-30"], "open": [1.0], "high": [1.0], "low": [1.0], "close": close}
    pq.write_table(pa.table(rows), path)
    with pytest.raises(SourceError, match=message):
        list(FileSource(path).batches(BARS))


def test_a_column_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    names = ["symbol", "date", "open", "high", "low", "x", "x"]
    pq.write_table(pa.table([pa.array(["A"]), pa.array(["2017-06-30"]), *[pa.array([1.0])] * 5], names=names), path)
    with pytest.raises(SourceError, match="has more than one column 'x'"):
        list(FileSource(path, mapping={"close": "x"}).batches(BARS))
