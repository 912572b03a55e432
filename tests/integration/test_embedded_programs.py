"""Where the programs come from: what is installed, else a private copy that Debian's mirror gives."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from server_for_tests import fast_server, open_folder

from mlops.embedded.account import Account, server_account
from mlops.embedded.private_copy import fetch, private_copy
from mlops.embedded.programs import installed, programs_in
from mlops.embedded.progress import silent
from mlops.exceptions import EmbeddedServerError

FETCH = """
import sys
from pathlib import Path
from mlops.embedded.account import server_account
from mlops.embedded.private_copy import fetch
home = Path(sys.argv[1])
print(fetch(home, server_account(home / "cluster"), lambda what, done: print(what, flush=True)).folder)
"""
HOST = (
    "/var/lib/apt/lists",
    "/var/lib/apt/extended_states",
    "/var/lib/dpkg",
    "/var/cache/apt",
    "/var/log/apt",
    "/etc/apt",
)


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder for programs, which the account that runs them can enter."""
    with open_folder("programs") as folder:
        yield folder


@pytest.fixture
def account(home: Path) -> Account:
    """Who runs the programs."""
    return server_account(home / "cluster")


def fetch_elsewhere(home: Path) -> subprocess.Popen[str]:
    # With a umask that lets everybody write what is made.
    return subprocess.Popen([sys.executable, "-c", FETCH, str(home)], stdout=subprocess.PIPE, text=True, umask=0)


def host_state() -> dict[str, int]:
    """Every file of the machine's own apt and dpkg, with the time of its last change."""
    files = (path for top in HOST for path in [Path(top), *Path(top).rglob("*")] if path.exists())
    return {str(path): path.stat().st_mtime_ns for path in files}


def test_private_copy_survives_a_kill_and_a_race_and_leaves_the_machine_alone(home: Path, account: Account) -> None:
    before = host_state()
    killed = fetch_elsewhere(home)
    assert killed.stdout is not None
    for line in killed.stdout:
        if line.startswith("Unpacking"):
            break
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert private_copy(home, account) is None
    assert not (home / "programs").exists()
    assert list(home.glob("programs.new-*"))

    both = [fetch_elsewhere(home) for _ in range(2)]
    said = [one.communicate(timeout=300)[0].splitlines() for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert sum("Unpacking" in lines for lines in said) == 1
    assert {lines[-1] for lines in said} == {str(home / "programs/usr/lib/postgresql/17/bin")}
    assert sorted(path.name for path in home.iterdir()) == ["programs", "programs.lock"]
    assert host_state() == before

    writable = [path for path in home.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o022]
    assert writable == []

    programs = private_copy(home, account)
    assert programs is not None
    for name in ("postgres", "initdb", "pg_ctl", "psql", "pg_dump"):
        answer = account.run([programs.path(name), "--version"])
        assert answer.returncode == 0, answer.stdout
    assert sum(path.lstat().st_size for path in home.rglob("*")) < 130e6

    # Its loader is named by its full path: moved, it would not run, so it does not count as there.
    home.joinpath("programs").rename(home / "elsewhere")
    (home / "moved").mkdir()
    home.joinpath("elsewhere").rename(home / "moved" / "programs")
    assert private_copy(home / "moved", account) is None


def test_an_installed_server_comes_before_a_private_copy(
    home: Path, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fast_server(home).programs(None).folder
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    assert folder in [one.folder for one in installed(account)]
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert fast_server(home).programs(None).major >= 15


@pytest.mark.parametrize("missing", ["initdb", "timescaledb.control", "version"])
def test_a_server_that_will_not_do_is_passed_over(home: Path, account: Account, missing: str) -> None:
    folder = home / "usr" / "bin"
    extension = home / "usr" / "share" / "extension"
    folder.mkdir(parents=True)
    extension.mkdir(parents=True)
    for name in ("postgres", "initdb", "pg_ctl"):
        (folder / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) 16.4'\n")
        (folder / name).chmod(0o755)
    (extension / "timescaledb.control").touch()
    found = programs_in(folder, account)
    assert found is not None
    assert found.major == 16
    if missing == "version":
        (folder / "postgres").write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 14.9'\n")
    else:
        next(home.rglob(missing)).unlink()
    assert programs_in(folder, account) is None


def test_no_debian(home: Path, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(home))
    with pytest.raises(EmbeddedServerError, match=r"on Debian only, and this machine lacks apt-get\. .*compose\.yaml"):
        fetch(home, account, silent)
    assert [path.name for path in home.iterdir()] == ["programs.lock"]


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ("deb http://127.0.0.1:9/debian bookworm main", "No Debian mirror serves the suite trixie"),
        ("deb http://127.0.0.1:9/ubuntu noble main", "apt settings name no Debian mirror"),
    ],
    ids=["silent-mirror", "no-mirror"],
)
def test_no_mirror(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sources: str, expected: str) -> None:
    (tmp_path / "sources.list").write_text(sources + "\n")
    (tmp_path / "apt.conf").write_text(
        f'Dir::Etc::sourcelist "{tmp_path}/sources.list";\nDir::Etc::sourceparts "/dev/null";\nAcquire::Retries "0";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    with pytest.raises(EmbeddedServerError, match=expected):
        fetch(home, server_account(home / "cluster"), silent)
    assert [path.name for path in home.iterdir()] == ["programs.lock"]


def test_home_that_may_not_be_written(tmp_path: Path, account: Account) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedServerError, match="FORECASTLE_HOME"):
        fetch(tmp_path / "file" / "home", account, silent)


def test_hooks_of_the_machine_are_not_run(
    home: Path, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the images of Debian for containers have in apt.conf.d: it empties the machine's own cache.
    (tmp_path / "sources.list").write_text("deb http://127.0.0.1:9/debian bookworm main\n")
    (tmp_path / "apt.conf").write_text(
        f'Dir::Etc::sourcelist "{tmp_path}/sources.list";\nDir::Etc::sourceparts "/dev/null";\nAcquire::Retries "0";\n'
        f'APT::Update::Pre-Invoke {{ "touch {tmp_path}/hooked"; }};\n'
        f'APT::Update::Post-Invoke {{ "touch {tmp_path}/hooked"; }};\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    apt = shutil.which("apt-get")
    assert apt is not None
    with pytest.raises(EmbeddedServerError):
        fetch(home, account, silent)
    assert not (tmp_path / "hooked").exists()
    own = ["-o", f"Dir::State={tmp_path}", "-o", f"Dir::Cache={tmp_path}", "-o", "Debug::NoLocking=1"]
    subprocess.run([apt, "update", *own], check=False, capture_output=True)
    assert (tmp_path / "hooked").exists()
