"""What whoever is the server's account, or another user of the machine, can do to root who runs `forecastle db`.

The traps are laid by that user, in a process of its own, with what it may do and no more. Where the tests do not run as
root, the server's account is the user itself, and there is nobody to attack.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from server_for_tests import fast_server, open_folder

from mlops.embedded import EmbeddedServer
from mlops.embedded.account import Account, server_account
from mlops.embedded.ownership import changeable_by_others
from mlops.embedded.postmaster import running
from mlops.embedded.programs import installed, programs_in
from mlops.exceptions import EmbeddedServerError

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="the attack is on root, and this is another user")

SECRET = "only-root-may-read-this"  # noqa: S105 - no password

# Takes the place of PostgreSQL's programs and writes down as whom it was run; the folder is open to everybody.
EVIL = """#!/bin/sh
id -u >> {marks}/run_as
echo 'postgres (PostgreSQL) 17.0'
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for a server of the test's own, stopped at the end."""
    with open_folder("attack") as folder:
        yield folder
        # Our own again, whatever was done to it, and no server left even where one should not have been started.
        for path in [folder, *folder.glob("*"), *folder.glob("*/home")]:
            if path.is_dir() and not path.is_symlink() and path.name != "cluster":
                path.chmod(0o755)
                os.chown(path, os.geteuid(), os.getegid())
                fast_server(path).down()


@pytest.fixture
def marks() -> Iterator[Path]:
    """A folder where everybody may leave a mark."""
    with open_folder("marks") as folder:
        folder.chmod(0o777)
        yield folder


@pytest.fixture
def secret() -> Iterator[Path]:
    """A file that nobody but root may read."""
    with open_folder("secret") as folder:
        path = folder / "secret"
        path.write_text(f"FATAL:  {SECRET}\n")
        path.chmod(0o600)
        yield path


@pytest.fixture(scope="module")
def stopped() -> Iterator[EmbeddedServer]:
    """A server that has been up and is down, for tests that leave it so."""
    with open_folder("attack") as folder:
        server = fast_server(folder)
        server.up()
        server.down()
        yield server
        server.down()


def nobody() -> Account:
    """A user of the machine that has nothing to do with us."""
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_uid, entry.pw_gid, "nobody")


def attack(account: Account, script: str, *arguments: str | Path) -> None:
    """Let `account` run a script of its own."""
    subprocess.run(
        ["/bin/sh", "-ec", script, "sh", *map(str, arguments)],
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        cwd="/",
        check=True,
        timeout=60,
    )


@contextmanager
def attacking(account: Account, script: str, *arguments: str | Path) -> Iterator[None]:
    """Let `account` run a script over and over for the length of the block."""
    with subprocess.Popen(
        ["/bin/sh", "-c", f"while :; do {script}\ndone", "sh", *map(str, arguments)],
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        cwd="/",
    ) as process:
        try:
            yield
        finally:
            process.kill()


def lay_evil_programs(account: Account, folder: Path, marks: Path) -> None:
    """Let `account` make the folder `folder` with programs that look like a PostgreSQL 17 with TimescaleDB."""
    script = """
        mkdir -p "$1" "$1/../share/extension"
        touch "$1/../share/extension/timescaledb.control"
        for name in postgres initdb pg_ctl pg_config; do printf '%s' "$2" > "$1/$name"; chmod 755 "$1/$name"; done
    """
    attack(account, script, folder, EVIL.format(marks=marks))


def run_as(marks: Path) -> set[str]:
    """The numbers of the users as whom evil programs were run."""
    mark = marks / "run_as"
    return set(mark.read_text().split()) if mark.exists() else set()


def account_of(server: EmbeddedServer) -> Account:
    return server_account(server.place.cluster)


@needs_root
@pytest.mark.parametrize("command", ["up", "down"])
def test_a_program_that_the_account_names_is_not_run(folder: Path, marks: Path, command: str) -> None:
    server = fast_server(folder)
    server.up()
    account = account_of(server)
    if command == "up":
        server.down()
    evil = server.place.cluster / "evil" / "bin"
    lay_evil_programs(account, evil, marks)
    line = f'{evil / "postgres"} "-D" "{server.place.data}"'
    attack(account, 'printf "%s\\n" "$2" > "$1"', server.place.data / "postmaster.opts", line)
    server.up() if command == "up" else server.down()
    assert run_as(marks) == set()


@needs_root
def test_a_path_of_programs_is_kept_where_only_root_writes(folder: Path) -> None:
    server = fast_server(folder)
    server.up()
    kept = server.place.served_by
    assert Path(kept.read_text().strip()) == server.programs(None).folder
    assert changeable_by_others(kept) is None


@needs_root
@pytest.mark.parametrize(
    "opened", ["program of another", "program for the group", "folder of another", "folder for all", "link of another"]
)
def test_programs_that_others_can_change_are_none(folder: Path, marks: Path, opened: str) -> None:
    top = folder / "usr"
    lay_evil_programs(Account(), top / "bin", marks)
    (top / "bin").chmod(0o755)
    top.chmod(0o755)
    account = server_account(folder / "cluster")
    assert programs_in(top / "bin", account) is not None  # while they are root's
    assert run_as(marks) == {str(account.uid)}
    (marks / "run_as").unlink()
    asked = top / "bin"
    if opened == "program of another":
        os.chown(top / "bin" / "initdb", nobody().uid or 0, 0)
    elif opened == "program for the group":
        (top / "bin" / "postgres").chmod(0o775)
    elif opened == "folder of another":
        os.chown(top, nobody().uid or 0, 0)
    elif opened == "folder for all":
        top.chmod(0o777)
    else:
        asked = marks / "bin"
        attack(nobody(), 'ln -s "$1" "$2"', top / "bin", asked)
    assert programs_in(asked, account) is None
    assert run_as(marks) == set()


@needs_root
def test_a_pg_config_of_another_user_in_the_path_is_not_asked(
    folder: Path, marks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = marks / "bin"
    lay_evil_programs(nobody(), evil, marks)
    monkeypatch.setenv("PATH", str(evil), prepend=":")
    installed(server_account(folder / "cluster"))
    assert run_as(marks) == set()


@needs_root
def test_a_link_in_the_place_of_the_configuration_hands_nothing_over(folder: Path, marks: Path, secret: Path) -> None:
    """The account changes the file that initdb wrote for a link, just before it is read and written back."""
    server = fast_server(folder)
    account = account_of(server)
    server.place.cluster.mkdir(mode=0o700)
    os.chown(server.place.cluster, account.uid or 0, account.gid or 0)
    script = """
        for made in "$1"/data.new-*/data/base/?????; do
            [ -d "$made" ] && ln -sf "$2" "$made/../../postgresql.conf" && echo laid >> "$3/laid"
        done
    """
    with attacking(account, script, server.place.cluster, secret, marks), suppress(EmbeddedServerError):
        server.up()
    assert (marks / "laid").exists()
    files = [path for path in server.place.cluster.rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path for path in files if SECRET in path.read_text("utf-8", "replace")] == []


@needs_root
@pytest.mark.parametrize(
    ("name", "trap"),
    [
        ("data/PG_VERSION", "link"),
        ("data/PG_VERSION", "pipe"),
        ("data/postmaster.pid", "link"),
        ("data/postmaster.pid", "pipe"),
        ("data/forecastle.conf", "link"),
        ("data/forecastle.conf", "pipe"),
        ("server.log", "link"),
    ],
)
def test_traps_in_the_servers_folder_neither_tell_nor_hold(
    stopped: EmbeddedServer, secret: Path, name: str, trap: str
) -> None:
    account, path = account_of(stopped), stopped.place.cluster / name
    lay = 'ln -s "$2" "$1"' if trap == "link" else 'mkfifo "$1"'
    attack(account, f'[ ! -e "$1" ] || mv "$1" "$1.kept"; {lay}', path, secret)
    try:
        stopped.up()
    except EmbeddedServerError as error:
        assert SECRET not in str(error)
    assert secret.read_text() == f"FATAL:  {SECRET}\n"
    assert secret.stat().st_uid == 0
    stopped.down()
    attack(account, 'rm -f "$1"; [ ! -e "$1.kept" ] || mv "$1.kept" "$1"', path)
    assert stopped.up().started
    stopped.down()


@needs_root
def test_a_link_that_another_user_put_into_its_own_folder_is_not_handed_to_the_account(folder: Path) -> None:
    """Where FORECASTLE_HOME belongs to somebody else: `cluster` is a link to a folder of root's."""
    with open_folder("victim") as victim:
        (victim / "file").touch()
        home = folder / "home"
        home.mkdir()
        os.chown(home, nobody().uid or 0, nobody().gid or 0)
        attack(nobody(), 'ln -s "$1" "$2"', victim, home / "cluster")
        with pytest.raises(EmbeddedServerError, match=rf"Other users of this machine can change {home},"):
            fast_server(home).up()
        assert (victim.stat().st_uid, [path.name for path in victim.iterdir()]) == (0, ["file"])


@needs_root
def test_a_link_of_roots_own_in_the_place_of_the_cluster_is_refused(folder: Path) -> None:
    with open_folder("victim") as victim:
        (folder / "cluster").symlink_to(victim)
        with pytest.raises(EmbeddedServerError, match="is a link or a file"):
            fast_server(folder).up()
        assert victim.stat().st_uid == 0
        (folder / "cluster").unlink()


@needs_root
@pytest.mark.parametrize("opened", ["of another", "for all", "sticky", "for the group", "below another's"])
def test_a_home_that_others_can_change_is_refused(folder: Path, opened: str) -> None:
    home = folder / "above" / "home"
    home.mkdir(parents=True)
    if opened == "of another":
        os.chown(home, nobody().uid or 0, 0)
    elif opened == "below another's":
        os.chown(home.parent, nobody().uid or 0, 0)
    else:
        home.chmod({"for all": 0o777, "sticky": 0o1777, "for the group": 0o775}[opened])
    with pytest.raises(EmbeddedServerError, match=r"Other users of this machine can change .* FORECASTLE_HOME"):
        fast_server(home).up()
    assert list(home.iterdir()) == []


@needs_root
def test_dbt_believes_nothing_that_lies_in_a_folder_of_somebody_else(folder: Path) -> None:
    """With a server of one's own, too: what dbt has read of the project lies in FORECASTLE_HOME from run to run."""
    home = folder / "home"
    home.mkdir()
    os.chown(home, nobody().uid or 0, nobody().gid or 0)
    attack(nobody(), 'mkdir -p "$1" && echo lies > "$1/partial_parse.msgpack"', home / "dbt" / "target")
    code = "from mlops.features import runner; runner.views(); print(runner._folders())"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"FORECASTLE_HOME": str(home), "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(home) not in ran.stdout
    assert (home / "dbt" / "target" / "partial_parse.msgpack").read_text() == "lies\n"


def test_a_home_that_everybody_can_change_is_refused(folder: Path) -> None:
    (folder / "home").mkdir()
    (folder / "home").chmod(0o777)
    with pytest.raises(EmbeddedServerError, match=r"Other users of this machine can change .* FORECASTLE_HOME"):
        fast_server(folder / "home").up()
    assert list((folder / "home").iterdir()) == []


def test_what_is_made_is_for_others_to_read_at_most_whatever_the_umask(folder: Path) -> None:
    home = folder / "home"
    before = os.umask(0)
    try:
        server = fast_server(home)
        server.up()
        server.down()
    finally:
        os.umask(before)
    made = [home, *home.rglob("*")]
    assert server.place.passwords in made
    assert [path for path in made if not path.is_symlink() and path.stat().st_mode & 0o022] == []


def test_the_server_does_not_keep_our_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The account reads the environment of its processes; what we were started with is not its business."""
    monkeypatch.setenv("SOME_TOKEN", SECRET)
    server = fast_server(folder)
    server.up()
    account = account_of(server)
    found = running(server.place, account)
    assert found is not None
    environment = account.shell('tr "\\0" "\\n" < "/proc/$1/environ"', str(found.pid)).stdout
    assert "PATH=" in environment
    assert SECRET not in environment
