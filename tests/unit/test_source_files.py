"""Files: told by content, numbered by line, refused as a whole where they are none."""

import csv
import gzip
import hashlib
import io
import os
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops.exceptions import SourceError
from mlops.sources import BARS, FileSource
from mlops.sources import delimited as delimited_module
from mlops.sources.delimited import read_delimited

HEADER = "symbol,date,open,high,low,close,volume"
ROW = "A,2017-06-30,10,11,9,10.5,100"


def rows_of(path: Path, **options: object) -> list[dict[str, object]]:
    source = FileSource(path, **options)  # type: ignore[arg-type]
    return [row for batch in source.batches(BARS) for row in batch.table.to_pylist()]


def written(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    frame = pd.DataFrame(
        {"symbol": "A", "date": pd.to_datetime(["2017-06-29", "2017-06-30"]), "open": 10.0, "high": 11.0, "low": 9.0,
         "close": 10.5}
    )  # fmt: skip
    pq.write_table(pa.Table.from_pandas(frame), tmp_path / "bars.parquet")
    return tmp_path / "bars.parquet"


@pytest.mark.parametrize("name", ["bars.csv", "bars.txt", "bars.data"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_csv_in_any_dialect(tmp_path: Path, name: str, delimiter: str, end: str, mark: str) -> None:
    text = mark + end.join([HEADER, ROW, ROW]).replace(",", delimiter)
    rows = rows_of(written(tmp_path / name, text))
    assert [row["line"] for row in rows] == [2, 3]
    assert rows[0] == {"symbol": "A", "ts": "2017-06-30", "open": "10", "high": "11", "low": "9", "close": "10.5",
                       "volume": "100", "line": 2}  # fmt: skip


def test_content_counts_not_the_name(tmp_path: Path, parquet: Path) -> None:
    assert [row["line"] for row in rows_of(parquet.rename(tmp_path / "bars.csv"))] == [1, 2]
    zipped = written(tmp_path / "bars", gzip.compress(f"{HEADER}\n{ROW}\n".encode()))
    assert [row["line"] for row in rows_of(zipped)] == [2]


def test_blank_lines_and_lines_in_quotes_are_counted(tmp_path: Path) -> None:
    text = f'\n{HEADER},note\n\n{ROW},"two\nlines, one ""row"""\r\n\r\n{ROW},x\n{ROW}\n{ROW},y,z\n{ROW},\n'
    batches = list(FileSource(written(tmp_path / "f.csv", text)).batches(BARS))
    assert [row["line"] for batch in batches for row in batch.table.to_pylist()] == [4, 7, 10]
    assert [(rejection.line, rejection.reason) for batch in batches for rejection in batch.rejections] == [
        (8, "7 values where the header has 8"),
        (9, "9 values where the header has 8"),
    ]


cells = st.text(alphabet=st.sampled_from('ab1. ,"\n;é'), max_size=6)


@given(
    rows=st.lists(st.tuples(cells, cells), min_size=1, max_size=20),
    quoting=st.sampled_from([0, 1]),
    size=st.integers(1, 60),
)
def test_lines_are_those_of_a_plain_reader_whatever_the_size_of_a_block(
    rows: list[tuple[str, str]], quoting: int, size: int
) -> None:
    written = io.StringIO()
    csv.writer(written, quoting=quoting, lineterminator="\n").writerows([("a", "b"), *rows])
    reader = csv.reader(io.StringIO(written.getvalue(), newline=""))
    next(reader)
    expected, line = [], reader.line_num + 1
    for row in reader:
        if row:
            expected.append((line, *row))
        line = reader.line_num + 1
    before, delimited_module._BLOCK_BYTES = delimited_module._BLOCK_BYTES, size
    try:
        batches = list(read_delimited(io.BytesIO(written.getvalue().encode()), lambda _: {"a": 0, "b": 1}, "f"))
    finally:
        delimited_module._BLOCK_BYTES = before
    assert [(row["line"], row["a"], row["b"]) for batch in batches for row in batch.table.to_pylist()] == expected
    assert not any(batch.rejections for batch in batches)


def test_the_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    path = written(tmp_path / "f.csv.gz", gzip.compress(f"{HEADER}\n{ROW}\n".encode()))
    source = FileSource(path)
    list(source.batches(BARS))
    assert source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_symbol_for_the_whole_file(tmp_path: Path) -> None:
    path = written(tmp_path / "f.csv", "date,open,high,low,close\n2017-06-30,1,1,1,1\n")
    assert rows_of(path, symbol="SPY")[0]["symbol"] == "SPY"


BAD = {
    "empty": (b"", "is empty. Write the file again"),
    "blank": (b"\n\n  \n", "is empty. Write the file again"),
    "header": (HEADER.encode(), "has a header and no rows"),
    "junk": (bytes(range(200, 64, -1)), r"neither Parquet nor CSV in UTF-8|holds binary data"),
    "zeros": (b"symbol,date\n" + bytes(100), "it holds binary data"),
    "latin": ("simbol,día\n1,2\n".encode("latin-1"), "neither Parquet nor CSV in UTF-8"),
    "latin_value": (f"{HEADER}\n{ROW}\n".encode() + b"\xe9,2017-06-30,1,1,1,1,1\n", "cannot be read as CSV in UTF-8"),
    "utf16": (f"{HEADER}\n{ROW}\n".encode("utf-16"), "is text in UTF-16. Save it in UTF-8"),
    "zip": (b"PK\x03\x04" + b"x" * 50, "zip archive or an Excel workbook"),
    "xls": (b"\xd0\xcf\x11\xe0" + b"x" * 50, "Excel workbook. Save it as CSV"),
    "feather": (b"ARROW1\x00\x00" + b"x" * 50, "Write it as Parquet"),
    "prose": (b"Dear Sir or Madam,\nplease find enclosed\n", "has no column for symbol, ts, open, high, low, close"),
    "ragged_end": (f"{HEADER}\n{ROW}\nA,2017-07-0".encode(), r"cut off: its last line, 3, has 2 values where .* 7"),
    "open_quote": (f'{HEADER}\n{ROW}\n"A,2017-07-03,1,1,1,1,1\n'.encode(), "cut off inside a quoted value"),
    "open_quote_at_end": (f'{HEADER}\n{ROW}\n"A,2017'.encode(), "cut off inside a quoted value"),
    "gz_cut": (gzip.compress(f"{HEADER}\n{ROW}\n".encode() * 50)[:-9], "cut off: its gzip stream has no end"),
    "gz_damaged": (gzip.compress(f"{HEADER}\n{ROW}\n".encode())[:-8] + b"xxxxxxxx", "is damaged"),
    "gz_empty": (gzip.compress(b""), "is empty"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_wrong_file_is_refused(tmp_path: Path, kind: str) -> None:
    content, message = BAD[kind]
    with pytest.raises(SourceError, match=message) as caught:
        rows_of(written(tmp_path / "bars.csv", content))
    assert str(tmp_path / "bars.csv") in str(caught.value)
    assert str(caught.value).count("\n") <= 1


def test_text_called_parquet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"is not Parquet, whatever its name says"):
        rows_of(written(tmp_path / "bars.parquet", f"{HEADER}\n{ROW}\n"))


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_cut_parquet_is_refused(parquet: Path, share: float) -> None:
    content = parquet.read_bytes()
    with pytest.raises(SourceError, match=r"no whole Parquet file .* cut off or damaged"):
        rows_of(written(parquet, content[: max(8, int(len(content) * share))]))


def test_a_damaged_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "big.parquet"
    columns = {name: [float(x) for x in range(5000)] for name in ("open", "high", "low", "close")}
    table = pa.table({"symbol": ["A"] * 5000, "date": [f"d{x}" for x in range(5000)], **columns})
    pq.write_table(table, path, compression="zstd", write_page_checksum=True)
    content = bytearray(path.read_bytes())
    content[len(content) // 3 : len(content) // 3 + 200] = b"\xff" * 200
    with pytest.raises(SourceError, match="no whole Parquet file"):
        list(FileSource(written(path, bytes(content))).batches(BARS))


def test_a_parquet_without_rows_is_refused(parquet: Path) -> None:
    pq.write_table(pq.read_table(parquet).slice(0, 0), parquet)
    with pytest.raises(SourceError, match="has a header and no rows"):
        rows_of(parquet)


def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="There is no file"):
        rows_of(tmp_path / "absent.csv")
    with pytest.raises(SourceError, match=r"is a folder. Name one file"):
        rows_of(tmp_path)


def test_a_file_without_permission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "f.csv", f"{HEADER}\n{ROW}\n")
    path.chmod(0)
    if os.geteuid() == 0:  # root may read all: be refused the way the system would do it

        def refuse(*_: object, **__: object) -> int:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("os.open", refuse)
    with pytest.raises(SourceError, match="may not be read by this user"):
        rows_of(path)


def test_a_file_that_is_still_being_written_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "f.csv", f"{HEADER}\n{ROW}\n")
    batches = FileSource(path).batches(BARS)
    next(batches)
    with path.open("a") as stream:
        stream.write(f"{ROW}\n")
    with pytest.raises(SourceError, match="was written to while it was read"):
        list(batches)
