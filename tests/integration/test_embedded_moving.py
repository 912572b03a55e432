"""The embedded server's folder is moved from the cache folder, where earlier versions had it, to the data folder."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from server_for_tests import PREFIX, USERS_HOME, fast_server, remove
from typer.testing import CliRunner

from mlops.cli.db import db_app
from mlops.embedded import EmbeddedServer, embedded_server, ensure_running, folder_not_in_use
from mlops.embedded.account import server_account
from mlops.embedded.moving import move
from mlops.embedded.place import Place
from mlops.embedded.progress import silent
from mlops.exceptions import EmbeddedServerError
from mlops.settings import Settings, load

STEPS = ("rename", "rmdir", "unlink", "mkdir")
"""What a move does to a folder, as methods of Path."""


@pytest.fixture
def disks() -> Iterator[Path]:
    """A folder for the two that a server is moved between, which the server's account can enter."""
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}moving-"))
    folder.chmod(0o755)
    yield folder
    for home in ("cache/forecastle", "data/forecastle"):
        EmbeddedServer(folder / home, folder / home).down()
    shutil.rmtree(folder)


@pytest.fixture
def old(disks: Path) -> Path:
    return disks / "cache" / "forecastle"


@pytest.fixture
def new(disks: Path) -> Path:
    return disks / "data" / "forecastle"


@pytest.fixture
def settings(old: Path, new: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings by default, where the default folders are those of the test."""
    monkeypatch.delenv("FORECASTLE_HOME", raising=False)
    monkeypatch.setattr("mlops.settings.default_home", lambda: new)
    monkeypatch.setattr("mlops.embedded.moving.earlier_home", lambda: old)
    settings = Settings.model_construct(_fields_set=set(), home=new)
    assert "home" not in load().model_fields_set
    return settings


def make_disks_of_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each folder be a disk of its own, as far as a rename can tell."""
    rename = Path.rename

    def rename_within_a_disk(self: Path, target: Path) -> Path:
        if self.parent != Path(target).parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link", str(self))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", rename_within_a_disk)


@pytest.fixture
def another_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    make_disks_of_folders(monkeypatch)


def move_killed_at(step: int, old: Path, new: Path) -> bool:
    """Move in a process that kills itself before its step number `step`; return whether it came as far as that."""
    child = os.fork()
    if child == 0:
        left = [step]

        def counted(function: Callable[..., object]) -> Callable[..., object]:
            def counting(*arguments: object, **named: object) -> object:
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*arguments, **named)

            return counting

        for name in STEPS:
            setattr(Path, name, counted(getattr(Path, name)))
        try:
            move(old, new, silent)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def an_earlier_server(old: Path) -> str:
    """Make a server in the old folder, with 1,000 rows in the table `kept`; return its URL."""
    old.mkdir(parents=True)
    url = fast_server(old).up().url
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS i")
    return url


def without_port(url: str) -> str:
    """The port is the same where no other test has taken it meanwhile."""
    return re.sub(r":\d+/", "/", url)


def kept(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM kept").fetchone()
    assert row is not None
    return int(row[0])


def made_up(old: Path) -> dict[str, str]:
    """Make a folder like a server's, without one; return what is in it."""
    old.mkdir(parents=True)
    account = server_account(old / "cluster")
    (old / "cluster").mkdir(mode=0o700)
    if account.uid is not None and account.gid is not None:
        os.chown(old / "cluster", account.uid, account.gid)
    for name in ("PG_VERSION", "base/1/1", "base/1/2"):
        account.shell('mkdir -p "${1%/*}"', old / "cluster" / "data" / name)
        account.write(old / "cluster" / "data" / name, f"{name}\n")
    account.shell('ln -s ../base "$1"', old / "cluster" / "data" / "link")
    (old / "lock").touch()
    (old / "passwords.json").write_text('{"forecastle": "word"}')
    (old / "passwords.json").chmod(0o600)
    (old / "dbt").mkdir()
    (old / "dbt" / "cache").write_text("parsed")
    (old / "of the user's").write_text("note")
    return content(old)


def content(folder: Path) -> dict[str, str]:
    """What is below a folder: of each path its kind, mode, owner, and what it holds or leads to."""
    found = {}
    for path in sorted(folder.rglob("*")):
        what = path.lstat()
        holds = path.read_text("latin-1") if stat.S_ISREG(what.st_mode) else ""
        holds = str(path.readlink()) if path.is_symlink() else holds
        found[str(path.relative_to(folder))] = f"{stat.filemode(what.st_mode)} {what.st_uid}:{what.st_gid} {holds}"
    return {name: what for name, what in found.items() if name not in ("lock", "programs.lock")}


def test_a_running_server_is_moved_with_its_data_and_its_passwords(settings: Settings, old: Path, new: Path) -> None:
    url = an_earlier_server(old)
    before = content(old)
    assert embedded_server(settings).folder == old  # what does not need the server moves nothing, and finds it there
    assert embedded_server(settings).is_running()
    after = ensure_running(settings)
    assert without_port(after) == without_port(url)
    assert kept(after) == 1000
    assert embedded_server(settings).folder == new
    assert not old.exists()
    assert {name.split("/")[0] for name in content(new)} == {name.split("/")[0] for name in before}
    for name in ("cluster", "cluster/data", "passwords.json"):
        assert content(new)[name] == before[name]


@pytest.mark.usefixtures("another_disk")
def test_to_another_disk_it_is_copied_and_the_old_one_deleted(settings: Settings, old: Path, new: Path) -> None:
    url = an_earlier_server(old)
    after = ensure_running(settings)
    assert without_port(after) == without_port(url)
    assert kept(after) == 1000
    assert not old.exists()
    assert not list(new.glob("*.mov*"))


def test_nobody_who_is_connected_is_thrown_out(settings: Settings, old: Path, new: Path) -> None:
    url = an_earlier_server(old)
    with psycopg.connect(url, application_name="dashboard") as connection:
        with pytest.raises(EmbeddedServerError, match=r"somebody is connected \(forecastle with dashboard\)") as raised:
            ensure_running(settings)
        assert str(raised.value).count("\n") == 0
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert not (new / "cluster").exists()
    assert embedded_server(settings).down()  # the message says so: `forecastle db down` stops it where it is
    assert kept(ensure_running(settings)) == 1000
    assert not old.exists()


def test_a_folder_that_the_user_named_is_left_alone(settings: Settings, old: Path, new: Path) -> None:
    made_up(old)
    named = settings.model_copy(update={"home": new})
    named.model_fields_set.add("home")
    assert embedded_server(named).folder == new
    with pytest.raises(EmbeddedServerError, match="no whole PostgreSQL data folder"):
        ensure_running(named.model_copy(update={"home": old}))
    assert (old / "cluster").exists()


def test_where_both_have_a_server_the_new_one_is_used_and_the_old_one_named(
    settings: Settings, old: Path, new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, there = made_up(old), made_up(new)
    assert embedded_server(settings).folder == new
    assert folder_not_in_use(settings) == old
    monkeypatch.setattr("mlops.cli.db.settings", lambda: settings)
    said = CliRunner().invoke(db_app, ["status"])
    assert said.stdout.startswith(f"The embedded TimescaleDB is not running; its folder is {new}.")
    assert said.stderr.startswith(f"note: {old} has the database of an earlier version, which is not used: {new} has")
    move(old, new, silent)
    assert (content(old), content(new)) == (before, there)
    remove(EmbeddedServer(old, old))
    assert folder_not_in_use(settings) is None


def test_what_dbt_left_in_the_new_folder_is_no_server(settings: Settings, old: Path, new: Path) -> None:
    before = made_up(old)
    (new / "dbt").mkdir(parents=True)
    (new / "dbt" / "cache").write_text("parsed anew")
    assert embedded_server(settings).folder == old
    move(old, new, silent)
    assert content(new) == before | {"dbt/cache": before["dbt/cache"].replace("parsed", "parsed anew")}
    assert not old.exists()


def test_a_link_to_another_disk_stays_one(settings: Settings, old: Path, new: Path, disks: Path) -> None:
    before = made_up(disks / "large")
    old.parent.mkdir()
    old.symlink_to(disks / "large")
    assert embedded_server(settings).folder == old
    move(old, new, silent)
    assert new.readlink() == disks / "large"
    assert content(disks / "large") == before
    assert not os.path.lexists(old)
    assert embedded_server(settings).folder == new


def test_a_tablespace_in_the_folder_keeps_it_where_it_is(old: Path, new: Path) -> None:
    made_up(old)
    cluster = old / "cluster"
    account = server_account(cluster)
    account.shell('mkdir "$1" && ln -s "$1" "$2"', cluster / "space", cluster / "data" / "17001")
    before = content(old)
    with pytest.raises(EmbeddedServerError, match=rf"17001 is a link into .* FORECASTLE_HOME={old} to leave"):
        move(old, new, silent)
    assert content(old) == before
    assert set(content(new)) == set()


@pytest.mark.usefixtures("another_disk")
def test_a_copy_that_differs_is_not_taken(old: Path, new: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a disk that is full, or that says that it has written what it has not."""
    before = made_up(old)
    run = type(server_account(old / "cluster")).run

    def one_file_short(self, arguments, **named):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN003, ANN202
        done = run(self, arguments, **named)
        if arguments[0] == "cp" and str(arguments[-1]).endswith("cluster.moving"):
            self.shell('rm "$1"', Path(arguments[-1]) / "data" / "base" / "1" / "2")
        return done

    monkeypatch.setattr("mlops.embedded.account.Account.run", one_file_short)
    with pytest.raises(EmbeddedServerError, match=rf"could not be moved .*FORECASTLE_HOME={old} leaves"):
        move(old, new, silent)
    monkeypatch.undo()
    assert not list(new.glob("cluster*"))
    assert {name: what for name, what in before.items() if name.startswith("cluster")}.items() <= content(old).items()
    move(old, new, silent)
    assert content(new) == before


def test_two_at_once_move_it_once(settings: Settings, old: Path, new: Path) -> None:
    an_earlier_server(old)
    with ThreadPoolExecutor(4) as pool:
        urls = set(pool.map(lambda _: ensure_running(settings), range(4)))
    assert len(urls) == 1
    assert kept(urls.pop()) == 1000
    assert (new / "cluster").exists()
    assert not old.exists()


@pytest.mark.parametrize("across", [False, True], ids=["same disk", "another disk"])
def test_killed_at_any_moment_the_next_one_goes_on(
    old: Path, new: Path, disks: Path, across: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And where the new folder has a `cluster`, it is whole."""
    expected = made_up(disks / "example")
    whole = {name: what for name, what in expected.items() if name.startswith("cluster")}
    old.parent.mkdir()
    if across:
        make_disks_of_folders(monkeypatch)
    step, killed = 0, True
    while killed:
        step += 1
        subprocess.run(["cp", "-a", disks / "example", old], check=True)
        killed = move_killed_at(step, old, new)
        arrived = {name: what for name, what in content(new).items() if name.partition("/")[0] == "cluster"}
        assert arrived in ({}, whole), f"killed before step {step}"
        move(old, new, silent)
        assert content(new) == expected, f"killed before step {step}"
        assert not old.exists(), f"killed before step {step}"
        shutil.rmtree(new)
    assert step > (20 if across else 5)


def test_the_private_copy_runs_in_its_new_place(settings: Settings, old: Path, new: Path) -> None:
    """Without a mirror: what was fetched once is enough."""
    from mlops.embedded.private_copy import fetch, point_at_place, private_copy
    from mlops.embedded.programs import programs_in

    account = server_account(old / "cluster")
    fetched = fetch(USERS_HOME, account, silent)
    new.mkdir(parents=True)
    shutil.copytree(USERS_HOME / "programs", new / "programs", symlinks=True)
    moved = new / fetched.folder.relative_to(USERS_HOME.resolve())
    assert private_copy(new, account) is None
    point_at_place(new, account, silent)
    found = private_copy(new, account)
    assert found is not None
    assert found.folder == moved
    assert str(USERS_HOME.resolve()).encode() not in (moved / "postgres").read_bytes()
    assert programs_in(moved, account) is not None
    assert Place(new).last_programs() is None
