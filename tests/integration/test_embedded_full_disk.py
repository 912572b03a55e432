"""The embedded server on a disk without room: a small tmpfs for root, programs that meet a full disk for others."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from server_for_tests import PREFIX, fast_server

from mlops.embedded import EmbeddedServer
from mlops.embedded.programs import Programs
from mlops.embedded.progress import Progress, silent
from mlops.exceptions import EmbeddedServerError

SMALL, LARGE = "24m", "400m"

FULL_INITDB = """#!/bin/sh
echo 'creating subdirectories ... initdb: error: could not create directory "base": No space left on device'; exit 1
"""
FULL_PG_CTL = """#!/bin/sh
while [ $# -gt 0 ]; do [ "$1" = --log ] && log=$2; shift; done
echo 'FATAL:  could not write lock file "postmaster.pid": No space left on device' >> "$log"; exit 1
"""


@dataclass
class Disk:
    """A disk whose room the test decides on. `server` is the server to start on it as it is now."""

    folder: Path
    real: bool
    full: bool = False

    @property
    def server(self) -> EmbeddedServer:
        server = fast_server(self.folder / "home", shared_buffers="16MB", max_wal_size="64MB")
        return server if self.real or not self.full else OnFullDisk(server.folder, server.home, False, server.extra)

    def small(self) -> None:
        """Leave too little room for a data folder."""
        self.full = True
        if self.real:
            mount(f"remount,size={SMALL}", self.folder)

    def large(self) -> None:
        """Make room."""
        self.full = False
        (self.folder / "ballast").unlink(missing_ok=True)
        if self.real:
            mount(f"remount,size={LARGE}", self.folder)

    def fill(self) -> None:
        """Take all the room that there is."""
        self.full = True
        if self.real:
            subprocess.run(
                ["dd", "if=/dev/zero", f"of={self.folder / 'ballast'}", "bs=64k"], check=False, capture_output=True
            )


class OnFullDisk(EmbeddedServer):
    """A server whose programs meet a full disk."""

    def programs(self, major: int | None, progress: Progress = silent) -> Programs:
        real = super().programs(major, progress)
        folder = Path(tempfile.mkdtemp(prefix="programs-", dir=self.folder))
        for name, text in {"initdb": FULL_INITDB, "pg_ctl": FULL_PG_CTL}.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        folder.chmod(0o755)
        return Programs(folder, real.major)


def mount(options: str, folder: Path) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


@pytest.fixture
def disk() -> Iterator[Disk]:
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}disk-"))
    folder.chmod(0o755)
    real = os.geteuid() == 0 and mount(f"size={LARGE},mode=755", folder)
    disk = Disk(folder, real)
    yield disk
    disk.large()
    disk.server.down()
    if real:
        subprocess.run(["umount", str(folder)], check=True)
    subprocess.run(["rm", "-r", str(folder)], check=True)


def test_full_disk_at_the_first_start_leaves_nothing_half_made(disk: Disk) -> None:
    disk.small()
    with pytest.raises(EmbeddedServerError, match=r"The disk that holds .* is full\. Nothing is lost: free some space"):
        disk.server.up()
    cluster = disk.server.place.cluster
    assert list(cluster.iterdir()) == []
    disk.large()
    assert disk.server.up().created


def test_full_disk_at_a_later_start_loses_nothing(disk: Disk) -> None:
    with psycopg.connect(disk.server.up().url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS i")
    disk.server.down()
    disk.fill()
    with pytest.raises(EmbeddedServerError, match=r"The disk that holds .* is full\. Nothing is lost"):
        disk.server.up()
    disk.large()
    with psycopg.connect(disk.server.up().url) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (1000,)
