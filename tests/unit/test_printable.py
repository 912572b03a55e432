"""Nothing that a terminal obeys comes out of a file, a name or a database: not in messages, tables, bars or the log."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from mlops.checks.findings import CheckFindings, CheckResult
from mlops.cli import check as check_command
from mlops.cli.connect import shown_progress
from mlops.cli.logs import PlainFormatter
from mlops.cli.plain import plain
from mlops.exceptions import ForecastleError, SourceError
from mlops.printable import cut, printable, printable_lines

FORECASTLE = Path(sys.executable).with_name("forecastle")
HOSTILE = "[/x]\x1b]0;owned\x07\x1b[2J\u202e:smile:\udce9"


@given(st.text(alphabet=st.characters(exclude_categories=[])))
def test_what_is_printable_stays_and_all_else_is_an_escape(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    shown.encode("utf-8")
    if text.isprintable():
        assert shown == text


def test_lines_stay_lines() -> None:
    assert printable_lines("one\x1b\ntwo\r\n") == "one\\x1b\ntwo\\r\n"
    assert printable("one\ntwo\t\u202e\udce9") == "one\\ntwo\\t\\u202e\\udce9"
    assert cut("twelve", 6) == "twelve"
    assert cut("thirteen", 6) == "thirt…"


def test_a_message_is_printable_whatever_it_quotes() -> None:
    assert str(SourceError("no \x1b[31m column\nName it\x07")) == "no \\x1b[31m column\nName it\\x07"
    assert str(ForecastleError()) == ForecastleError.__doc__


def test_a_cell_is_shown_as_it_stands() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    table = Table(show_edge=False)
    table.add_column("a")
    table.add_row(plain(HOSTILE))
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    last = console.file.getvalue().splitlines()[-1]
    assert "[/x]\\x1b]0;owned\\x07\\x1b[2J\\u202e:smile:\\udce9" in last
    assert "\x1b" not in last


def test_a_check_s_finding_is_shown_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    result = CheckResult("market", "prices_are_possible", "market.bars", False, HOSTILE, 1, "", "")
    check_command._show(CheckFindings(uuid4(), datetime(2017, 6, 30, tzinfo=UTC), "[/d1]", (result,)))
    shown = capsys.readouterr().out
    assert "Checks of [/d1] as of" in shown
    assert "[/x]\\x1b]0;o" in "".join(shown.split())
    assert "\x1b]" not in shown


def test_a_bar_names_a_file_as_it_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_progress() as progress:
        progress(f"Taking in {HOSTILE}.csv", None)
    assert "\x1b]0;owned" not in capsys.readouterr().err


def test_the_log_is_plain() -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        record = logging.LogRecord("forecastle", logging.ERROR, "f", 1, "%s: bad", (HOSTILE,), sys.exc_info())
    lines = PlainFormatter("%(levelname)s %(message)s").format(record).split("\n")
    assert lines[0] == "ERROR [/x]\\x1b]0;owned\\x07\\x1b[2J\\u202e:smile:\\udce9: bad"
    assert len(lines) > 3, "a traceback keeps its lines"
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("name", ["[/x].csv", "\x1b[31mred.csv", b"caf\xe9.csv", "new\nline.csv"])
def test_a_file_s_name_is_no_bug(tmp_path: Path, name: str | bytes) -> None:
    arguments = [str(FORECASTLE), "ingest", "bars", name, "--database-url", "postgresql://nobody@127.0.0.1:1/none"]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr.strip() == f"error: There is no file {printable(name_of(name))}."


def name_of(name: str | bytes) -> str:
    return name if isinstance(name, str) else name.decode("utf-8", "surrogateescape")
