"""Where the programs come from: what is installed, else a private copy that Debian's mirror gives."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from server_for_tests import fast_server

from mlops.exceptions import EmbeddedServerError
from mlops.warehouse.embedded.account import Account
from mlops.warehouse.embedded.private_copy import fetch, private_copy
from mlops.warehouse.embedded.programs import installed, programs_in
from mlops.warehouse.embedded.progress import silent

FETCH = """
import sys
from pathlib import Path
from mlops.warehouse.embedded.private_copy import fetch
print(fetch(Path(sys.argv[1]), lambda what, done: print(what, flush=True)).folder)
"""
HOST = (
    "/var/lib/apt/lists",
    "/var/lib/apt/extended_states",
    "/var/lib/dpkg",
    "/var/cache/apt",
    "/var/log/apt",
    "/etc/apt",
)


def fetch_elsewhere(home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", FETCH, str(home)], stdout=subprocess.PIPE, text=True)


def host_state() -> dict[str, int]:
    """Every file of the machine's own apt and dpkg, with the time of its last change."""
    files = (path for top in HOST for path in [Path(top), *Path(top).rglob("*")] if path.exists())
    return {str(path): path.stat().st_mtime_ns for path in files}


def test_private_copy_survives_a_kill_and_a_race_and_leaves_the_machine_alone(tmp_path: Path) -> None:
    before = host_state()
    killed = fetch_elsewhere(tmp_path)
    assert killed.stdout is not None
    for line in killed.stdout:
        if line.startswith("Unpacking"):
            break
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert private_copy(tmp_path) is None
    assert not (tmp_path / "programs").exists()
    assert list(tmp_path.glob("programs.new-*"))

    both = [fetch_elsewhere(tmp_path) for _ in range(2)]
    said = [one.communicate(timeout=300)[0].splitlines() for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert sum("Unpacking" in lines for lines in said) == 1
    assert {lines[-1] for lines in said} == {str(tmp_path / "programs/usr/lib/postgresql/17/bin")}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["programs", "programs.lock"]
    assert host_state() == before

    programs = private_copy(tmp_path)
    assert programs is not None
    for name in ("postgres", "initdb", "pg_ctl", "psql", "pg_dump"):
        answer = Account().run([programs.path(name), "--version"])
        assert answer.returncode == 0, answer.stdout
    assert sum(path.lstat().st_size for path in tmp_path.rglob("*")) < 130e6

    # Its loader is named by its full path: moved, it would not run, so it does not count as there.
    tmp_path.joinpath("programs").rename(tmp_path / "elsewhere")
    (tmp_path / "moved").mkdir()
    tmp_path.joinpath("elsewhere").rename(tmp_path / "moved" / "programs")
    assert private_copy(tmp_path / "moved") is None


def test_an_installed_server_comes_before_a_private_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fast_server(tmp_path).programs(None).folder
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    assert folder in [one.folder for one in installed()]
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert fast_server(tmp_path).programs(None).major >= 15


@pytest.mark.parametrize("missing", ["initdb", "timescaledb.control", "version"])
def test_a_server_that_will_not_do_is_passed_over(tmp_path: Path, missing: str) -> None:
    folder = tmp_path / "usr" / "bin"
    extension = tmp_path / "usr" / "share" / "extension"
    folder.mkdir(parents=True)
    extension.mkdir(parents=True)
    for name in ("postgres", "initdb", "pg_ctl"):
        (folder / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) 16.4'\n")
        (folder / name).chmod(0o755)
    (extension / "timescaledb.control").touch()
    found = programs_in(folder)
    assert found is not None
    assert found.major == 16
    if missing == "version":
        (folder / "postgres").write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 14.9'\n")
    else:
        next(tmp_path.rglob(missing)).unlink()
    assert programs_in(folder) is None


def test_no_debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmbeddedServerError, match=r"on Debian only, and this machine lacks apt-get\. .*compose\.yaml"):
        fetch(tmp_path / "home", silent)
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["programs.lock"]


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ("deb http://127.0.0.1:9/debian bookworm main", "No Debian mirror serves the suite trixie"),
        ("deb http://127.0.0.1:9/ubuntu noble main", "apt settings name no Debian mirror"),
    ],
    ids=["silent-mirror", "no-mirror"],
)
def test_no_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sources: str, expected: str) -> None:
    (tmp_path / "sources.list").write_text(sources + "\n")
    (tmp_path / "apt.conf").write_text(
        f'Dir::Etc::sourcelist "{tmp_path}/sources.list";\nDir::Etc::sourceparts "/dev/null";\nAcquire::Retries "0";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    with pytest.raises(EmbeddedServerError, match=expected):
        fetch(tmp_path / "home", silent)
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["programs.lock"]


def test_home_that_may_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedServerError, match="FORECASTLE_HOME"):
        fetch(tmp_path / "file" / "home", silent)


def test_hooks_of_the_machine_are_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
        fetch(tmp_path / "home", silent)
    assert not (tmp_path / "hooked").exists()
    own = ["-o", f"Dir::State={tmp_path}", "-o", f"Dir::Cache={tmp_path}", "-o", "Debug::NoLocking=1"]
    subprocess.run([apt, "update", *own], check=False, capture_output=True)
    assert (tmp_path / "hooked").exists()
