"""The inbox: what is taken in, what waits, what is refused, and that nobody gets more out of it than that."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import socket
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from databases import administer
from sqlalchemy import text

from jobs import ingest
from mlops import sources
from mlops.exceptions import FilesRefusedError, JobError, SettingsError, SourceError, WarehouseError
from mlops.sources.inbox import DONE, REFUSED, Inbox, InboxFile
from mlops.warehouse import Warehouse

AS_OF = datetime(2017, 6, 30, 22, 30, tzinfo=UTC)
BEFORE_THE_CLOSE = datetime(2017, 6, 30, 15, tzinfo=UTC)
HEADER = "symbol,date,open,high,low,close,volume\n"
YESTERDAY, TODAY = "AAPL,2017-06-29,10,11,9,10.5,100\n", "AAPL,2017-06-30,10,11,9,10.5,100\n"
BARS = HEADER + YESTERDAY + TODAY


def bars(warehouse: Warehouse) -> int:
    return count(warehouse, "bars")


def count(warehouse: Warehouse, table: str) -> int:
    with warehouse.begin(role=None) as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM market.{table}")).scalar_one())


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def reasons(warehouse: Warehouse) -> list[str]:
    with warehouse.begin(role=None) as connection:
        return list(connection.execute(text("SELECT reason FROM market.rejects ORDER BY id")).scalars())


def only(inbox: Inbox) -> InboxFile:
    (file,) = inbox.files()
    return file


# What is taken in ----------------------------------------------------------------------------------------------------


def test_what_the_files_do_not_say_is_said_by_the_settings(warehouse: Warehouse, tmp_path: Path) -> None:
    """Hourly bars of a new pair of currencies, their times without an offset."""
    (tmp_path / "bars_h1_eurusd.csv").write_text(
        "symbol,time,open,high,low,close\nEURUSD,2017-06-29 10:00,1.14,1.15,1.13,1.14\n"
    )
    unsaid = ingest.Unsaid(timezone="Europe/London", asset_class="fx")
    (counts,) = ingest.from_inbox(warehouse, AS_OF, tmp_path, unsaid)
    assert (counts.read, counts.new) == (1, 1)
    with warehouse.begin(role=None) as connection:
        row = connection.execute(
            text("SELECT ts, asset_class, exchange FROM market.bars JOIN market.symbols ON id = symbol_id")
        ).one()
    assert tuple(row) == (datetime(2017, 6, 29, 9, tzinfo=UTC), "fx", "24/5")


@pytest.mark.parametrize("wrong", [{"timezone": "Europe/Atlantis"}, {"exchange": "XXXX"}, {"asset_class": "tulips"}])
def test_a_setting_that_is_wrong_is_no_fault_of_the_files(
    warehouse: Warehouse, tmp_path: Path, wrong: dict[str, str]
) -> None:
    (tmp_path / "bars_d1_2017-06-30.csv").write_text(BARS)
    with pytest.raises(SettingsError, match="FORECASTLE_INBOX_"):
        ingest.from_inbox(warehouse, AS_OF, tmp_path, ingest.Unsaid(**wrong))
    assert names(tmp_path) == ["bars_d1_2017-06-30.csv"]


def test_files_are_taken_in_and_put_away(warehouse: Warehouse, tmp_path: Path) -> None:
    (tmp_path / "bars_d1_2017-06-30.csv").write_text(BARS)
    (tmp_path / "BARS_D1_AGAIN.CSV").write_text(BARS)
    (tmp_path / ".bars_d1_unfinished.csv").write_text("sym")
    counts = ingest.from_inbox(warehouse, AS_OF, tmp_path)
    assert [(each.read, each.new) for each in counts] == [(2, 2), (2, 0)]
    assert bars(warehouse) == 2
    assert names(tmp_path) == [".bars_d1_unfinished.csv", "done/BARS_D1_AGAIN.CSV", "done/bars_d1_2017-06-30.csv"]
    assert ingest.from_inbox(warehouse, AS_OF, tmp_path) == []


def test_a_refused_file_does_not_keep_the_others_out(warehouse: Warehouse, tmp_path: Path) -> None:
    (tmp_path / "bars_d1_a.csv").write_text("nothing,of,use\n1,2,3\n")
    (tmp_path / "bars_d1_b.csv").write_text(BARS)
    (tmp_path / "bars_d1_quote.csv").write_text(
        "symbol,date,open,high,low,close,name\n" + "".join(f'A,2017-06-{day},1,1,1,1,{day}" pipe\n' for day in (28, 29))
    )
    with pytest.raises(FilesRefusedError, match=r"Refused: bars_d1_a\.csv, bars_d1_quote\.csv\. .*refused says why"):
        ingest.from_inbox(warehouse, AS_OF, tmp_path)
    assert bars(warehouse) == 2
    assert names(tmp_path) == [
        "done/bars_d1_b.csv",
        "refused/bars_d1_a.csv",
        "refused/bars_d1_a.csv.why.txt",
        "refused/bars_d1_quote.csv",
        "refused/bars_d1_quote.csv.why.txt",
    ]
    assert "column" in (tmp_path / "refused" / "bars_d1_a.csv.why.txt").read_text()


def test_a_missing_inbox_is_said(warehouse: Warehouse, tmp_path: Path) -> None:
    with pytest.raises(JobError, match="is not a folder"):
        ingest.from_inbox(warehouse, AS_OF, tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(JobError, match="is not a folder"):
        ingest.from_inbox(warehouse, AS_OF, tmp_path / "file")


def test_files_of_other_names_are_left_alone(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever names a folder of theirs for the inbox, the current one say, finds everything in it as it was."""
    mine = ["notes.txt", "README", "bars_d1_x.csv.filepart", "bars.xlsx", "sub/bars_d1_x.csv", "setup.py"]
    (tmp_path / "sub").mkdir()
    for name in mine:
        (tmp_path / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    assert ingest.from_inbox(warehouse, AS_OF, Path()) == []
    assert names(tmp_path) == sorted(mine)
    # of what looks like data it is said that it was not taken in
    (tmp_path / "prices.csv").write_text(BARS)
    (tmp_path / "bars_2017.parquet").write_text("")
    with pytest.raises(FilesRefusedError, match=r"^Left alone, for their names: bars_2017.parquet, prices.csv. Name"):
        ingest.from_inbox(warehouse, AS_OF, Path())
    assert names(tmp_path) == sorted([*mine, "prices.csv", "bars_2017.parquet"])


def test_an_earlier_file_of_the_name_is_never_overwritten(warehouse: Warehouse, tmp_path: Path) -> None:
    for close in ("10.1", "10.2", "10.3"):
        (tmp_path / "bars_d1_daily.csv.gz").write_bytes(b"")
        (tmp_path / "bars_d1_daily.csv").write_text(BARS.replace("10.5", close))
        with pytest.raises(FilesRefusedError, match="Refused: bars_d1_daily"):
            ingest.from_inbox(warehouse, AS_OF, tmp_path)
    done, refused = tmp_path / "done", tmp_path / "refused"
    assert names(done) == ["bars_d1_daily.1.csv", "bars_d1_daily.2.csv", "bars_d1_daily.csv"]
    assert "10.1" in (done / "bars_d1_daily.csv").read_text()
    assert "10.3" in (done / "bars_d1_daily.2.csv").read_text()
    assert [name for name in names(refused) if name.endswith(".gz")] == [
        "bars_d1_daily.1.csv.gz", "bars_d1_daily.2.csv.gz", "bars_d1_daily.csv.gz"
    ]  # fmt: skip
    assert len(names(refused)) == 6


# What waits ----------------------------------------------------------------------------------------------------------


def test_bars_of_a_day_that_is_not_over_wait_in_the_inbox(
    warehouse: Warehouse, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, why = tmp_path / "bars_d1_2017-06-30.csv", tmp_path / "bars_d1_2017-06-30.csv.why.txt"
    file.write_text(HEADER + YESTERDAY + "AAPL,2017-06-28,,11,9,10.5,100\n" + TODAY)
    for attempt in range(2):
        (counts,) = ingest.from_inbox(warehouse, BEFORE_THE_CLOSE, tmp_path)
        assert (counts.read, counts.new, counts.rejected) == (1, 1 - attempt, 0)
        assert names(tmp_path) == [file.name, why.name]
        assert bars(warehouse) == 1, "what is known comes in at once"
    assert "1 rows wait in the inbox, since they are not known before 2017-06-30 20:00 UTC" in why.read_text()
    assert "to be rejected then: 1 open is missing" in why.read_text()
    assert "rows wait in the inbox" in caplog.text
    assert reasons(warehouse) == []

    (counts,) = ingest.from_inbox(warehouse, AS_OF, tmp_path)
    assert (counts.read, counts.new, counts.unchanged, counts.rejected) == (3, 1, 1, 1)
    assert names(tmp_path) == [f"done/{file.name}"]
    assert reasons(warehouse) == ["open is missing"], "once, however often the file was looked at"


def test_a_run_for_the_past_takes_nothing_for_a_mistake_that_is_known_today(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    (tmp_path / "bars_d1_2017.csv").write_text(BARS)
    ingest.from_inbox(warehouse, datetime(2012, 1, 1, tzinfo=UTC), tmp_path)
    assert (tmp_path / "bars_d1_2017.csv").exists()
    assert count(warehouse, "ingests") == 0
    ingest.from_inbox(warehouse, AS_OF, tmp_path)
    assert names(tmp_path) == ["done/bars_d1_2017.csv"]


def test_what_is_future_for_good_is_refused_and_does_not_keep_the_rest_waiting(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    (tmp_path / "bars_d1_mistake.csv").write_text(HEADER + TODAY.replace("2017", "2099"))
    (tmp_path / "bars_d1_mixed.csv").write_text(BARS + TODAY.replace("2017", "2099"))
    with pytest.raises(FilesRefusedError, match=r"Refused: bars_d1_mistake.csv"):
        ingest.from_inbox(warehouse, AS_OF, tmp_path)
    assert bars(warehouse) == 2
    assert names(tmp_path) == [
        "done/bars_d1_mixed.csv", "refused/bars_d1_mistake.csv", "refused/bars_d1_mistake.csv.why.txt"
    ]  # fmt: skip
    assert (tmp_path / "refused" / "bars_d1_mistake.csv.why.txt").read_text() == (
        "No row of it was taken in. Rejected: 1 the bar is in the future. market.rejects has them with line and "
        "reason, ingest_id 1.\n"
    )
    assert reasons(warehouse) == ["the bar is in the future"] * 2


def test_tomorrow_waits_and_the_week_after_next_does_not(warehouse: Warehouse, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    header = "symbol,time,open,high,low,close\n"
    for name, hours in (("past", -2), ("soon", 24), ("far", 24 * 14)):
        moment = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=hours)
        (tmp_path / f"bars_h1_{name}.csv").write_text(f"{header}X,{moment.isoformat()},1,1,1,1\n")
    with pytest.raises(FilesRefusedError, match=r"Refused: bars_h1_far.csv\."):
        ingest.from_inbox(warehouse, now, tmp_path)
    assert [name for name in names(tmp_path) if not name.endswith(".why.txt")] == [
        "bars_h1_soon.csv", "done/bars_h1_past.csv", "refused/bars_h1_far.csv"
    ]  # fmt: skip


def test_earnings_wait_for_their_release(warehouse: Warehouse, tmp_path: Path) -> None:
    (tmp_path / "bars_d1_x.csv").write_text(HEADER + YESTERDAY)
    (tmp_path / "earnings_x.csv").write_text(
        "symbol,date,eps_est,eps,release\nAAPL,2017-06-29,1,1,pre\nAAPL,2017-06-30,1,1,post\n"
    )
    ingest.from_inbox(warehouse, AS_OF, tmp_path)
    assert count(warehouse, "earnings") == 1
    assert names(tmp_path) == ["done/bars_d1_x.csv", "earnings_x.csv", "earnings_x.csv.why.txt"]
    ingest.from_inbox(warehouse, AS_OF + timedelta(days=1), tmp_path)
    assert count(warehouse, "earnings") == 2
    assert names(tmp_path) == ["done/bars_d1_x.csv", "done/earnings_x.csv"]


# What an attacker puts there -----------------------------------------------------------------------------------------


@pytest.fixture
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("elsewhere") / "secret"
    path.write_text("root:hunter2:0:0\n")
    return path


def test_nothing_but_regular_files_is_read(
    warehouse: Warehouse, tmp_path: Path, secret: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "bars_d1_a_link.csv").symlink_to(secret)
    (tmp_path / "bars_d1_b_dangling.csv").symlink_to(tmp_path / "nowhere")
    (tmp_path / "bars_d1_c_hard.csv").hardlink_to(secret)
    os.mkfifo(tmp_path / "bars_d1_d_pipe.csv")
    (tmp_path / "bars_d1_e_folder.csv").mkdir()
    (tmp_path / "bars_d1_e_folder.csv" / "part-0").write_text(BARS)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "bars_d1_f_socket.csv"))
    (tmp_path / "bars_d1_z.csv").write_text(BARS)
    with pytest.raises(FilesRefusedError) as caught:
        ingest.from_inbox(warehouse, AS_OF, tmp_path)
    assert len(caught.value.about["files"]) == 6  # type: ignore[arg-type]
    assert bars(warehouse) == 2
    refused = tmp_path / "refused"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["done", "refused"]
    said = [path.read_text() for path in sorted(refused.glob("*.why.txt"))]
    for why, kind in zip(said, ("link", "link", "hard link", "pipe", "folder", "device or a socket"), strict=True):
        assert kind in why
    assert "hunter2" not in "".join(said) + caplog.text + str(caught.value)
    assert (refused / "bars_d1_a_link.csv").is_symlink()
    assert secret.read_text() == "root:hunter2:0:0\n"


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_is_checked_is_what_is_opened(tmp_path: Path, secret: Path, kind: str) -> None:
    """Between the look at the name and the opening the file is swapped."""
    path = tmp_path / "bars_d1_x.csv"
    path.write_text(BARS)
    with Inbox.opened(tmp_path) as inbox:
        file = only(inbox)
        path.unlink()
        path.symlink_to(secret) if kind == "link" else os.mkfifo(path)
        with pytest.raises(SourceError, match=r"symbolic links|is a pipe, a terminal or a device"):
            list(file.source().batches(sources.BARS))


def test_what_is_moved_is_what_was_read(tmp_path: Path) -> None:
    """A newer file that came under the name meanwhile is not put away unread, and one that grew is read again."""
    path = tmp_path / "bars_d1_x.csv"
    path.write_text(BARS)
    with Inbox.opened(tmp_path) as inbox:
        file = only(inbox)
        list(file.source().batches(sources.BARS))
        newer = tmp_path / ".newer"
        newer.write_text(BARS + TODAY)
        newer.rename(path)
        assert inbox.put_away(file, DONE) is None
        assert names(tmp_path) == ["bars_d1_x.csv"]
        file = only(inbox)
        list(file.source().batches(sources.BARS))
        with path.open("a") as stream:
            stream.write(TODAY)
        assert inbox.put_away(file, DONE) is None
        assert names(tmp_path) == ["bars_d1_x.csv"]
        file = only(inbox)
        file.open().close()
        assert inbox.put_away(file, DONE) == "bars_d1_x.csv"
        with pytest.raises(FileNotFoundError):
            inbox.put_away(file, DONE)


@pytest.mark.parametrize("folder", [DONE, REFUSED])
@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_folder_that_is_none_moves_nothing_and_stops_nothing(
    warehouse: Warehouse, tmp_path: Path, secret: Path, folder: str, kind: str
) -> None:
    if kind == "link":
        (tmp_path / folder).symlink_to(secret.parent)
    else:
        (tmp_path / folder).write_text("")
    (tmp_path / "bars_d1_bad.csv").write_text("nothing,of,use\n1,2,3\n")
    (tmp_path / "bars_d1_good.csv").write_text(BARS)
    stuck = "bars_d1_good.csv" if folder == DONE else "bars_d1_bad.csv"
    for _ in range(2):
        with pytest.raises(
            FilesRefusedError, match=rf"Could not be put away.*: {stuck} \({folder} in the inbox is no f"
        ):
            ingest.from_inbox(warehouse, AS_OF, tmp_path)
        assert bars(warehouse) == 2, "the good one was taken in all the same"
        assert (tmp_path / stuck).exists()
    assert names(secret.parent) == ["secret"]


POISON: dict[bytes, str] = {
    b"bars_d1_long_ticker.csv": HEADER + TODAY.replace("AAPL", "A" * 100_000),
    b"bars_d1_escape.csv": HEADER + TODAY.replace("AAPL", "A\x1b]0;owned\x07"),
    b"bars_d1_\xe9.csv": BARS,
    b"bars_d1_\x1b[31m.csv": BARS,
    b"bars_d1_a\nERROR b.csv": BARS,
    b"bars_d1_" + b"n" * 243 + b".csv": "nothing,of,use\n1,2,3\n",
    b"earnings.csv": "symbol,date,eps_est,eps,release\nNONE,2017-06-30,1,1,pre\n",
    b"bars_w2_x.csv": BARS,
}


@pytest.mark.parametrize("name", POISON, ids=repr)
def test_a_poison_file_is_refused_and_the_others_go_on(
    warehouse: Warehouse, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: bytes
) -> None:
    (tmp_path / os.fsdecode(name)).write_text(POISON[name])
    (tmp_path / "bars_d1_zz.csv").write_text(BARS)
    with pytest.raises(FilesRefusedError, match=r"^Refused: ") as caught:
        ingest.from_inbox(warehouse, AS_OF, tmp_path)
    assert bars(warehouse) == 2
    assert names(tmp_path / "done") == ["bars_d1_zz.csv"]
    refused = tmp_path / "refused"
    assert (refused / os.fsdecode(name)).exists()
    (why,) = refused.glob("*.why.txt")
    assert len(os.fsencode(why.name)) <= 255
    for shown in (str(caught.value), *why.read_text().splitlines(), *caplog.messages):
        assert shown.isprintable()
    with warehouse.begin() as connection:
        errors = connection.execute(text("SELECT error FROM monitoring.job_runs")).scalars().all()
    assert len(errors) == 1
    assert ingest.from_inbox(warehouse, AS_OF, tmp_path) == []


def test_an_error_of_ours_over_a_file_refuses_that_file(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ingest.ingest_bars

    def take(warehouse: Warehouse, source: Any, **options: Any) -> Any:
        if "poison" in source.name:
            raise ZeroDivisionError("of \x1b[31m ours")
        return whole(warehouse, source, **options)

    monkeypatch.setattr(ingest, "ingest_bars", take)
    (tmp_path / "bars_d1_poison.csv").write_text(BARS)
    (tmp_path / "bars_d1_z.csv").write_text(BARS)
    with pytest.raises(FilesRefusedError, match=r"Refused: bars_d1_poison.csv"):
        ingest.from_inbox(warehouse, AS_OF, tmp_path)
    assert (tmp_path / "refused" / "bars_d1_poison.csv.why.txt").read_text() == (
        "ZeroDivisionError: of \\x1b[31m ours. This is a bug in Forecastle; its log shows where.\n"
    )
    assert names(tmp_path / "done") == ["bars_d1_z.csv"]


def test_a_server_that_is_gone_refuses_no_file(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server_url: str
) -> None:
    whole = ingest.ingest_bars

    def take(warehouse: Warehouse, source: Any, **options: Any) -> Any:
        if "_b" in source.name:
            database = warehouse.url.database
            administer(
                server_url,
                f"ALTER DATABASE {database} ALLOW_CONNECTIONS false",
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'",
            )
        return whole(warehouse, source, **options)

    monkeypatch.setattr(ingest, "ingest_bars", take)
    for name in "abc":
        (tmp_path / f"bars_d1_{name}.csv").write_text(BARS)
    with pytest.raises(WarehouseError):
        ingest.from_inbox(warehouse, AS_OF, tmp_path)
    assert names(tmp_path) == ["bars_d1_b.csv", "bars_d1_c.csv", "done/bars_d1_a.csv"]
    administer(server_url, f"ALTER DATABASE {warehouse.url.database} ALLOW_CONNECTIONS true")
    monkeypatch.undo()
    assert len(ingest.from_inbox(warehouse, AS_OF, tmp_path)) == 2


# What the file system does -------------------------------------------------------------------------------------------


def test_a_file_that_cannot_be_moved_is_named_and_the_others_go_on(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.rename

    def refuse(source: str, target: str, **folders: Any) -> None:
        if source == "bars_d1_a.csv":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        rename(source, target, **folders)

    monkeypatch.setattr(os, "rename", refuse)
    for name in "ab":
        (tmp_path / f"bars_d1_{name}.csv").write_text(BARS)
    with pytest.raises(FilesRefusedError, match=r"will be taken in again: bars_d1_a.csv \(Permission denied\)\.$"):
        ingest.from_inbox(warehouse, AS_OF, tmp_path)
    assert names(tmp_path) == ["bars_d1_a.csv", "done/bars_d1_b.csv"]


def test_on_a_full_disk_a_file_is_refused_without_its_text(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("mlops.sources.inbox._write", full)
    (tmp_path / "bars_d1_a.csv").write_text("nothing,of,use\n1,2,3\n")
    (tmp_path / "bars_d1_b.csv").write_text(HEADER + YESTERDAY + TODAY)
    with pytest.raises(FilesRefusedError, match=r"Refused: bars_d1_a.csv"):
        ingest.from_inbox(warehouse, BEFORE_THE_CLOSE, tmp_path)
    assert names(tmp_path) == ["bars_d1_b.csv", "refused/bars_d1_a.csv"]
    assert bars(warehouse) == 1
    assert "bars_d1_a.csv: refused: " in caplog.text
    assert "could not be written beside it: No space left on device" in caplog.text


def test_a_file_that_is_gone_before_its_turn_is_passed_over(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"bars_d1_{name}.csv").write_text(BARS)
    with Inbox.opened(tmp_path) as inbox:
        files = inbox.files()
        assert next(files).name == "bars_d1_a.csv"
        (tmp_path / "bars_d1_b.csv").unlink()
        assert list(files) == []


def test_texts_are_written_over_nothing_else(tmp_path: Path, secret: Path) -> None:
    (tmp_path / "bars_d1_x.csv.why.txt").symlink_to(secret)
    (tmp_path / ".why.txt").symlink_to(secret)
    with Inbox.opened(tmp_path) as inbox:
        inbox.explain("bars_d1_x.csv", "for a reason")
    assert secret.read_text() == "root:hunter2:0:0\n"
    assert (tmp_path / "bars_d1_x.csv.why.txt").read_text() == "for a reason\n"
    assert stat.S_ISREG((tmp_path / "bars_d1_x.csv.why.txt").lstat().st_mode)
    assert names(tmp_path) == ["bars_d1_x.csv.why.txt"]


def test_thousands_of_refused_files_are_counted_not_listed(
    warehouse: Warehouse, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    for number in range(1000):
        (tmp_path / f"bars_d1_{number:04}.csv").write_text("")
        (tmp_path / f"other_{number:04}.csv").write_text("")
    with pytest.raises(FilesRefusedError) as caught:
        ingest.from_inbox(warehouse, AS_OF, tmp_path)
    assert "bars_d1_0009.csv and 990 more. " in str(caught.value)
    assert "other_0009.csv and 990 more. " in str(caught.value)
    assert len(str(caught.value)) < 1000
    shutil.rmtree(tmp_path)
