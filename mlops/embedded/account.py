"""The account that the server runs under: PostgreSQL refuses root.

What lies in the server's folders belongs to this account, and whoever is this account may put anything there: links to
root's files, pipes that never end. So root touches nothing in there. It has the account read, write, move and delete,
by programs that run as the account; the rights of the account then bound what a trap can reach.
"""

from __future__ import annotations

import os
import pwd
import re
import stat
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mlops.embedded.failures import failed
from mlops.exceptions import EmbeddedServerError

_WORKING_FOLDER = re.compile(r"/proc/(\d+)/cwd -> (.*)$", re.MULTILINE)
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PATIENCE_SECONDS = 60
_MOST_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Account:
    """A user of the machine; `uid` None means whoever runs this process."""

    uid: int | None = None
    gid: int | None = None
    name: str = ""

    def run(
        self, arguments: Sequence[str | Path], *, stdin: str = "", timeout: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end as this user and return its exit status with both its outputs in `stdout`.

        It starts in `/`, since the user may not be allowed where we are, and with an environment of its own: ours may
        hold what is secret or leads PostgreSQL's programs astray, and a server keeps its environment for as long as it
        runs. Raises OSError where there is no such program, and EmbeddedServerError after `timeout` seconds.
        """
        try:
            return subprocess.run(
                [str(argument) for argument in arguments],
                input=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                check=False,
                cwd="/",
                umask=0o077,
                env={"PATH": self._path(), "LC_ALL": "C", "TZ": "UTC"},
                user=self.uid,
                group=self.gid,
                extra_groups=None if self.uid is None else [],
                start_new_session=True,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired as error:
            said = " ".join(str(argument) for argument in arguments)[:200]
            raise EmbeddedServerError(f"This did not end within {timeout:.0f} s: {said}. It was ended.") from error

    def shell(self, script: str, *arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a script of /bin/sh to its end as this user; `$1` and so on are its arguments. Raises as `run`."""
        return self.run(["/bin/sh", "-c", script, "sh", *arguments], stdin=stdin, timeout=_PATIENCE_SECONDS)

    def read(self, path: Path, since: int = 0) -> str | None:
        """Return what `path` holds after its first `since` bytes, at most a megabyte; None where it cannot be read."""
        script = f'[ -f "$1" ] && exec < "$1" && tail -c +"$2" | head -c {_MOST_BYTES}'
        answer = self.shell(script, path, str(since + 1))
        return answer.stdout if answer.returncode == 0 else None

    def size(self, path: Path) -> int:
        """Return the bytes of the file that this user finds at `path`, 0 for none."""
        answer = self.shell('[ -f "$1" ] && stat -Lc %s -- "$1"', path)
        return int(answer.stdout) if answer.returncode == 0 else 0

    def write(self, path: Path, text: str) -> None:
        """Make `text` the content of `path`, readable by this user alone, at once or not at all."""
        script = 'rm -f -- "$1.new" && cat > "$1.new" && sync -- "$1.new" && mv -T -- "$1.new" "$1"'
        answer = self.shell(script, path, stdin=text)
        if answer.returncode != 0:
            raise failed(f"{path} could not be written", answer.stdout, path.parent)

    def move(self, path: Path, to: Path) -> None:
        """Give what lies at `path` the name `to`, in the place of a file or an empty folder."""
        answer = self.shell('mv -T -- "$1" "$2"', path, to)
        if answer.returncode != 0:
            raise failed(f"{path} could not be moved to {to}", answer.stdout, path.parent)

    def remove(self, *paths: Path) -> None:
        """Delete what lies at the paths, folders with all that is in them and links themselves; whatever can be."""
        self.run(["rm", "-rf", "--", *paths])

    def working_folders(self, processes: str = "[0-9]*") -> dict[int, Path]:
        """Return the working folder of every process of this user's, or of the one with the number `processes`.

        This user asks, since in most containers root may not look into another user's processes. `ls` fails for those
        that are not ours or have just ended, and lists the others.
        """
        answer = self.shell(f"ls -ld /proc/{processes}/cwd")
        return {int(pid): Path(folder) for pid, folder in _WORKING_FOLDER.findall(answer.stdout)}

    def make_folder(self, parent: Path, prefix: str) -> Path:
        """Make a folder of this user's in `parent`, under a new name that begins with `prefix`."""
        answer = self.shell('mktemp -d -- "$1"', parent / f"{prefix}XXXXXXXX")
        if answer.returncode != 0:
            raise failed(f"No folder could be made in {parent}", answer.stdout, parent)
        return Path(answer.stdout.strip())

    def require_entry(self, folder: Path) -> None:
        """Raise EmbeddedServerError, naming the folder at fault, where this user cannot enter `folder`."""
        if self.uid is None or self._enters(folder):
            return
        for path in [*reversed(folder.parents), folder]:
            if not self._enters(path):
                raise EmbeddedServerError(
                    f"PostgreSQL refuses to run as root, and the user {self.name}, under whom it runs instead, cannot "
                    f"enter {path}. Run `chmod a+x {path}`, or set FORECASTLE_HOME to a folder elsewhere.",
                    folder=path,
                )

    def _path(self) -> str:
        """Return where this user's programs are looked for: ours is no other user's to know or to follow."""
        return os.environ.get("PATH", _SYSTEM_PATH) if self.uid is None else _SYSTEM_PATH

    def _enters(self, folder: Path) -> bool:
        return self.shell('cd -- "$1"', folder).returncode == 0


def server_account(cluster: Path) -> Account:
    """Return the account for the server whose things are in `cluster`, a folder that may not exist yet.

    It is our own account. For root it is the owner of the folder, so that the data keeps its owner when the machine's
    users change; at the first time `postgres`, or `nobody` where there is none. Raises EmbeddedServerError where a link
    or something else lies in the folder's place.
    """
    if os.geteuid() != 0:
        return Account()
    with suppress(FileNotFoundError):
        owner = cluster.lstat()
        if not stat.S_ISDIR(owner.st_mode):
            raise EmbeddedServerError(
                f"{cluster} is a link or a file, and the database's folder belongs there. Move it away; "
                "FORECASTLE_HOME may name a folder on another disk.",
                folder=cluster,
            )
        if owner.st_uid != 0:
            return Account(owner.st_uid, owner.st_gid, f"number {owner.st_uid}")
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid, name)
    raise EmbeddedServerError(
        "PostgreSQL refuses to run as root, and this machine has neither a user `postgres` nor `nobody`. "
        "Run forecastle as another user."
    )
