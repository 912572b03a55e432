"""The account that the server runs under: PostgreSQL refuses root."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlops.exceptions import EmbeddedServerError
from mlops.warehouse.embedded.failures import failed

_WORKING_FOLDER = re.compile(r"/proc/(\d+)/cwd -> (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Account:
    """A user of the machine; `uid` None means whoever runs this process."""

    uid: int | None = None
    gid: int | None = None
    name: str = ""

    def run(
        self, arguments: Sequence[str | Path], *, stdin: str = "", environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end as this user and return its exit status with both its outputs in `stdout`.

        It starts in `/`, since the user may not be allowed where we are, and without what could lead PostgreSQL's
        programs astray (PG* and LD_* variables).
        """
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
            env=clean_environment() | dict(environment or {}),
            user=self.uid,
            group=self.gid,
            extra_groups=None if self.uid is None else [],
            start_new_session=True,
        )

    def write(self, path: Path, text: str) -> None:
        """Make `text` the content of `path`, readable by this user alone, at once or not at all.

        This user does it, not root: root must not write where another user could have put a link.
        """
        script = 'rm -f -- "$1.new" && cat > "$1.new" && sync -- "$1.new" && mv -- "$1.new" "$1"'
        answer = self.run(["/bin/sh", "-c", script, "sh", path], stdin=text)
        if answer.returncode != 0:
            raise failed(f"{path} could not be written", answer.stdout, path.parent)

    def working_folders(self, processes: str = "[0-9]*") -> dict[int, Path]:
        """Return the working folder of every process of this user's, or of the one with the number `processes`.

        This user asks, since in most containers root may not look into another user's processes. `ls` fails for those
        that are not ours or have just ended, and lists the others.
        """
        answer = self.run(["/bin/sh", "-c", f"ls -ld /proc/{processes}/cwd"])
        return {int(pid): Path(folder) for pid, folder in _WORKING_FOLDER.findall(answer.stdout)}

    def make_folder(self, parent: Path, prefix: str) -> Path:
        """Make a folder of this user's in `parent`, under a new name that begins with `prefix`."""
        answer = self.run(["mktemp", "-d", parent / f"{prefix}XXXXXXXX"])
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

    def _enters(self, folder: Path) -> bool:
        return self.run(["/bin/sh", "-c", 'cd -- "$1"', "sh", folder]).returncode == 0


def server_account(cluster: Path) -> Account:
    """Return the account for the server whose things are in `cluster`, a folder that may not exist yet.

    It is our own account. For root it is the owner of the folder, so that the data keeps its owner when the machine's
    users change; at the first time `postgres`, or `nobody` where there is none.
    """
    if os.geteuid() != 0:
        return Account()
    if cluster.exists() and cluster.stat().st_uid != 0:
        owner = cluster.stat()
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


def clean_environment() -> dict[str, str]:
    """Return our environment without what would change how PostgreSQL's programs run or speak."""
    astray = ("PG", "LD_", "LC_", "LANG", "QUOTING_STYLE", "POSIXLY_CORRECT")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(astray)}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}
