"""`forecastle ingest`, as a person and as a script read it."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from mlops.cli.ingest import ingest_app
from mlops.exceptions import SourceError
from mlops.warehouse import Warehouse

CSV = "Ticker;Day;O;H;L;Last\nA;2017-07-03;10;11;9;10.5\nA;2017-07-04;10;11;9;10.5\nA;2017-07-05;10;11;9;\n"
NEWEST = "2017-07-03T17:00:00+00:00"
"""The close of the one bar that is good: on the day before the holiday New York closes at one o'clock."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "bars.csv").write_text(CSV)
    return tmp_path / "bars.csv"


def run(*arguments: str) -> tuple[int, str, BaseException | None]:
    result = CliRunner().invoke(ingest_app, list(arguments))
    return result.exit_code, result.output, result.exception


def test_the_last_line_counts(database_url: str, file: Path) -> None:
    code, output, _ = run("bars", str(file), "--map", "close=Last", "--database-url", database_url)
    assert code == 0
    assert output.splitlines()[-5:] == [
        "rejected 1: XNYS has no session on that day",
        "rejected 1: close is missing",
        "Rejected rows with line and reason: market.rejects, ingest_id 1",
        f"The newest bar is known at {NEWEST[:10]} {NEWEST[11:16]} UTC; as of then: --as-of {NEWEST[:10]}",
        "3 read: 1 new, 0 changed, 0 unchanged, 2 rejected",
    ]
    code, output, _ = run("bars", str(file), "--map", "close=Last", "--database-url", database_url, "--json")
    assert json.loads(output) == {
        "ingest_id": 2, "read": 3, "new": 0, "changed": 0, "unchanged": 1, "rejected": 2,
        "reasons": {"XNYS has no session on that day": 1, "close is missing": 1}, "newest": NEWEST, "ignored": [],
    }  # fmt: skip


def test_the_environment_names_the_database(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, warehouse: Warehouse
) -> None:
    monkeypatch.setenv("FORECASTLE_DATABASE_URL", database_url)
    assert run("bars", "--source", "sample", "--from", "2012-06-01", "--to", "2012-06-29")[1].splitlines()[-1] == (
        "105 read: 105 new, 0 changed, 0 unchanged, 0 rejected"
    )
    path = tmp_path / "eps.csv"
    path.write_text("date,estimate,eps,when\n2012-07-24,10.35,9.32,post\n")
    assert run("earnings", str(path), "--symbol", "AAPL")[1].splitlines()[-1] == (
        "1 read: 1 new, 0 changed, 0 unchanged, 0 rejected"
    )
    with warehouse.begin() as connection:
        assert connection.execute(text("SELECT source FROM market.ingests ORDER BY id")).scalars().all() == [
            "sample from 2012-06-01 to 2012-06-29", str(path)
        ]  # fmt: skip


def test_a_kind_of_rows_has_its_command(database_url: str, file: Path, tmp_path: Path) -> None:
    listed = run("--help")[1]
    assert [name in listed for name in ("bars", "earnings", "universes", "nothing")] == [True, True, True, False]
    fields = "A row has universe, symbol, ts, and where the file has them until, known_at."
    assert fields in " ".join(run("universes", "--help")[1].split())
    assert run("dividends", str(file))[0] == 2
    run("bars", str(file), "--map", "close=Last", "--database-url", database_url)
    path = tmp_path / "lists.csv"
    path.write_text("index,ticker,from,weight\nlarge,A,2015-03-19,0.1\nlarge,B,2015-03-19,0.1\n")
    assert run("universes", str(path), "--database-url", database_url)[1].splitlines()[-4:] == [
        "rejected 1: no such symbol in the warehouse: ingest its bars",
        "Rejected rows with line and reason: market.rejects, ingest_id 2",
        "Columns that were not read: weight",
        "2 read: 1 new, 0 changed, 0 unchanged, 1 rejected",
    ]


def test_columns_that_are_not_read_are_named(database_url: str, tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text("symbol,date,open,high,low,close,spread,\x1b[2J\nA,2017-07-05,10,11,9,10.5,1,2\n")
    _, output, _ = run("bars", str(path), "--database-url", database_url)
    assert output.splitlines()[-3:] == [
        "Columns that were not read: spread, \\x1b[2J",
        "The newest bar is known at 2017-07-05 20:00 UTC; as of then: --as-of 2017-07-05",
        "1 read: 1 new, 0 changed, 0 unchanged, 0 rejected",
    ]


def test_a_wrong_file_is_an_error_of_ours(database_url: str, file: Path) -> None:
    code, _, error = run("bars", str(file), "--database-url", database_url)
    assert code == 1
    assert isinstance(error, SourceError)
    assert "--map close=NAME" in str(error)


def test_what_is_in_the_future_is_rejected_and_it_is_said_what_to_do(database_url: str, tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text("symbol,date,open,high,low,close\nA,2017-07-03,10,11,9,10.5\nA,2099-07-01,10,11,9,10.5\n")
    _, output, _ = run("bars", str(path), "--database-url", database_url)
    assert output.splitlines()[-5:] == [
        "rejected 1: the bar is in the future",
        "Rejected rows with line and reason: market.rejects, ingest_id 1",
        "What is in the future was not kept. Ingest it again when it is known, or put the file into the inbox, "
        "where it waits.",
        "The newest bar is known at 2017-07-03 17:00 UTC; as of then: --as-of 2017-07-03",
        "2 read: 1 new, 0 changed, 0 unchanged, 1 rejected",
    ]


@pytest.mark.parametrize("kind", ["pipe", "stdin", "device", "socket"])
def test_a_pipe_is_refused_with_advice_and_not_waited_for(database_url: str, tmp_path: Path, kind: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
    path = {"stdin": "/dev/stdin", "device": "/dev/null"}.get(kind, str(tmp_path / kind))
    done = subprocess.run(
        [sys.executable, "-c", "from mlops.cli import main; main()", "ingest", "bars", path,
         "--database-url", database_url],
        input="symbol,date\n", capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"{path} is a pipe, a terminal or a device, and a file is read twice. Write it to a file" in done.stderr


def test_standard_input_that_is_a_file_will_do(database_url: str, tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text("symbol,date,open,high,low,close\nA,2017-07-03,10,11,9,10.5\n")
    with path.open() as file:
        done = subprocess.run(
            [sys.executable, "-c", "from mlops.cli import main; main()", "ingest", "bars", "/dev/stdin",
             "--database-url", database_url],
            stdin=file, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "1 read: 1 new, 0 changed, 0 unchanged, 0 rejected", done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bars"], "either a FILE or a --source"),
        (["bars", "f.csv", "--source", "sample"], "either a FILE or a --source"),
        (["bars", "f.csv", "--from", "2017-01-01"], "a file is taken as a whole"),
        (["bars", "f.csv", "--symbol", "A", "--symbol", "B"], "has one symbol"),
        (["bars", "f.csv", "--map", "close"], "is not FIELD=COLUMN"),
        (["bars", "--source", "sample", "--map", "close=C"], "only a FILE has columns to map"),
        (["bars", "--source", "sample", "--symbol", "A"], "with all its symbols"),
        (["bars", "--source", "yahoo", "--symbol", "A"], "and --from"),
        (["bars", "--source", "bloomberg"], "bloomberg"),
        (["bars", "--source", "sample", "--from", "last week"], "last week"),
        (["earnings"], "Missing argument"),
    ],
)
def test_wrong_usage_ends_with_status_2(arguments: list[str], message: str) -> None:
    code, output, _ = run(*arguments)
    assert code == 2
    assert message in " ".join(output.replace("│", " ").split())
