"""The inbox: what is taken in, what is refused, and that neither is looked at twice."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from jobs import ingest
from mlops.exceptions import FilesRefusedError, JobError
from mlops.warehouse import Warehouse

AS_OF = datetime(2017, 6, 30, 22, 30, tzinfo=UTC)
BARS = "symbol,date,open,high,low,close,volume\nAAPL,2017-06-29,10,11,9,10.5,100\nAAPL,2017-06-30,10,11,9,10.5,100\n"


def bars(warehouse: Warehouse) -> int:
    with warehouse.begin() as connection:
        return int(connection.execute(text("SELECT count(*) FROM market.bars")).scalar_one())


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_files_are_taken_in_and_put_away(warehouse: Warehouse, tmp_path: Path) -> None:
    (tmp_path / "bars_d1_2017-06-30.csv").write_text(BARS)
    (tmp_path / ".bars_d1_unfinished.csv").write_text("sym")
    counts = ingest.from_inbox(warehouse, AS_OF, tmp_path)
    assert [(each.read, each.new) for each in counts] == [(2, 2)]
    assert bars(warehouse) == 2
    assert names(tmp_path) == [".bars_d1_unfinished.csv", "done/bars_d1_2017-06-30.csv"]
    assert ingest.from_inbox(warehouse, AS_OF, tmp_path) == []


def test_a_refused_file_does_not_keep_the_others_out(warehouse: Warehouse, tmp_path: Path) -> None:
    (tmp_path / "bars_d1_a.csv").write_text("nothing,of,use\n1,2,3\n")
    (tmp_path / "bars_d1_b.csv").write_text(BARS)
    (tmp_path / "bars_d1_quote.csv").write_text(
        "symbol,date,open,high,low,close,name\n" + "".join(f'A,2017-06-{day},1,1,1,1,{day}" pipe\n' for day in (28, 29))
    )
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(FilesRefusedError, match=r"Refused: bars_d1_a\.csv, bars_d1_quote\.csv, notes\.txt"):
        ingest.from_inbox(warehouse, AS_OF, tmp_path)
    assert bars(warehouse) == 2
    assert names(tmp_path) == [
        "done/bars_d1_b.csv",
        "refused/bars_d1_a.csv",
        "refused/bars_d1_a.csv.why.txt",
        "refused/bars_d1_quote.csv",
        "refused/bars_d1_quote.csv.why.txt",
        "refused/notes.txt",
        "refused/notes.txt.why.txt",
    ]
    assert "column" in (tmp_path / "refused" / "bars_d1_a.csv.why.txt").read_text()


def test_a_missing_inbox_is_said(warehouse: Warehouse, tmp_path: Path) -> None:
    with pytest.raises(JobError, match="is not a folder"):
        ingest.from_inbox(warehouse, AS_OF, tmp_path / "nowhere")
