"""apt under a configuration of its own: the machine's lists, cache, status and hooks are neither used nor touched."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from mlops.embedded.failures import failed
from mlops.embedded.mirror import mirrors, transport_settings
from mlops.embedded.progress import Progress
from mlops.exceptions import EmbeddedServerError

_KEYRINGS = tuple(Path("/usr/share/keyrings") / f"debian-archive-keyring.{kind}" for kind in ("gpg", "pgp"))
_INSTEAD = "Start the server in compose.yaml (`docker compose up -d`), or name another in FORECASTLE_DATABASE_URL."


class Apt:
    """One suite of the machine's Debian mirror, seen from `folder`, which must not exist yet."""

    def __init__(self, folder: Path, suite: str, absent: Sequence[str]) -> None:
        """Lay out `folder`. Packages in `absent` are taken to be installed, so that they are not fetched.

        Raises EmbeddedServerError where this machine has no apt, no Debian keyring or no Debian mirror.
        """
        missing = [
            program for program in ("apt-get", "apt-config", "dpkg", "dpkg-deb") if shutil.which(program) is None
        ]
        if missing:
            raise EmbeddedServerError(
                f"A private copy of TimescaleDB can be fetched on Debian only, and this machine lacks {missing[0]}. "
                + _INSTEAD
            )
        keyring = next((path for path in _KEYRINGS if path.is_file()), None)
        if keyring is None:
            raise EmbeddedServerError(
                "Debian's packages cannot be verified: the package debian-archive-keyring is missing. " + _INSTEAD
            )
        self.folder, self.suite, self.keyring = folder, suite, keyring
        self.architecture = _output(["dpkg", "--print-architecture"]).strip()
        self.mirrors = mirrors(_output(["apt-get", "update", "--print-uris"]))
        if not self.mirrors:
            raise EmbeddedServerError("This machine's apt settings name no Debian mirror. " + _INSTEAD)
        for name in ("state/lists/partial", "cache/archives/partial"):
            (folder / name).mkdir(parents=True)
        (folder / "state" / "status").write_text("".join(_installed(name) for name in absent), encoding="ascii")
        self._configure()

    def download(self, package: str, progress: Progress) -> list[Path]:
        """Fetch `package` and what it depends on, verified, and return the files.

        Raises EmbeddedServerError where no mirror serves them.
        """
        for mirror in self.mirrors:
            self._write("sources.list", f"deb [signed-by={self.keyring}] {mirror} {self.suite} main\n")
            status, said = self._run(["update", "-o", "APT::Update::Error-Mode=any"], "", progress)
            if status == 0:
                break
        else:
            raise failed(
                f"No Debian mirror serves the suite {self.suite} to this machine (tried {', '.join(self.mirrors)})",
                f"{said}\n",
                self.folder,
            )
        status, said = self._run(
            ["install", "--download-only", "--no-install-recommends", "--yes", package],
            "Fetching TimescaleDB",
            progress,
        )
        if status != 0:
            raise failed(f"{package} could not be fetched from {mirror}", said, self.folder)
        return sorted((self.folder / "cache" / "archives").glob("*.deb"))

    def _configure(self) -> None:
        folder = self.folder
        own = {
            "Dir::Etc::main": "/dev/null",
            "Dir::Etc::parts": "/dev/null",
            "Dir::Etc::sourcelist": folder / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::State": folder / "state",
            "Dir::State::lists": folder / "state" / "lists",
            "Dir::State::status": folder / "state" / "status",
            "Dir::Cache": folder / "cache",
            "Dir::Log": folder / "log",
            "APT::Architecture": self.architecture,
            "APT::Architectures": self.architecture,
            "APT::Get::List-Cleanup": "false",
            "Acquire::Languages": "none",
            "Debug::NoLocking": "true",
        }
        lines = "".join(f'{name} "{value}";\n' for name, value in own.items())
        text = transport_settings(_output(["apt-config", "dump"])) + lines
        self._write("apt.conf", text)

    def _write(self, name: str, text: str) -> None:
        """Write a file of the configuration; it may hold the password of a proxy or mirror, so only we may read it."""
        (self.folder / name).touch(mode=0o600)
        (self.folder / name).write_text(text, encoding="utf-8")

    def _run(self, arguments: list[str], what: str, progress: Progress) -> tuple[int, str]:
        """Run apt-get and hand on how far it says it is; return its exit status and what it printed."""
        reading, writing = os.pipe()
        with (self.folder / "apt.log").open("w+", encoding="utf-8", errors="replace") as log, os.fdopen(reading) as far:
            with subprocess.Popen(
                ["apt-get", "--quiet", "-o", f"APT::Status-Fd={writing}", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(writing,),
                env=os.environ | {"APT_CONFIG": str(self.folder / "apt.conf"), "LC_ALL": "C"},
                start_new_session=True,
            ) as process:
                os.close(writing)
                try:
                    for line in far:
                        parts = line.split(":")
                        if what and parts[0] == "dlstatus" and len(parts) > 2:
                            progress(what, float(parts[2]) / 100)
                except BaseException:
                    process.kill()
                    raise
            log.seek(0)
            return process.returncode, log.read()


def _installed(package: str) -> str:
    return (
        f"Package: {package}\nStatus: install ok installed\nArchitecture: all\nMulti-Arch: foreign\n"
        "Version: 999:1\nMaintainer: nobody\nDescription: taken to be there\n\n"
    )


def _output(arguments: list[str]) -> str:
    """Return what a program prints, whatever its exit status: apt prints the URIs it knows beside its complaints."""
    answer = subprocess.run(
        arguments, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace", check=False,
        env=os.environ | {"LC_ALL": "C"},
    )  # fmt: skip
    return answer.stdout
