"""How large the server may make itself on this machine."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

MB = 1024 * 1024

ANALYST_CONNECTIONS = 20
"""How many sessions the analysts' login may have at a time: some people, each with psql and a BI tool's pool. The
server has 100; jobs and the administrator need 10 each at most."""

RESERVED_CONNECTIONS = 20
"""How many of the server's connections only the worker and the owner may use, beside the three that PostgreSQL keeps
for the administrator: a daemon, its dbt and a second job."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What the server has to live with: bytes of memory, of which in /dev/shm; bytes free on its disk; cores."""

    memory: int
    shared_memory: int
    disk_free: int
    cores: int


def this_machine(folder: Path) -> Machine:
    """Measure the machine; a container's memory limit counts, not the host's memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(limit).read_text("ascii").strip()
        except OSError:
            continue
        if text.isdigit():
            memory = min(memory, int(text))
    shared = shutil.disk_usage("/dev/shm").total if Path("/dev/shm").is_dir() else 0  # noqa: S108
    return Machine(memory, shared, shutil.disk_usage(folder).free, len(os.sched_getaffinity(0)))


def sizes(machine: Machine) -> dict[str, str]:
    """Return PostgreSQL's settings of size for `machine`.

    A quarter of the memory for shared_buffers is the PostgreSQL manual's own advice (section 20.4); 2 GB and 64 MB of
    work_mem are what the 503 stocks were measured with. A window over the full history sorts in work_mem.
    """
    return {
        "shared_buffers": _mb(machine.memory / 4, 64, 2048),
        "effective_cache_size": _mb(machine.memory / 2, 128, 1024 * 1024),
        "work_mem": _mb(machine.memory / 128, 8, 64),
        "maintenance_work_mem": _mb(machine.memory / 16, 32, 512),
        "min_wal_size": _mb(machine.disk_free / 80, 32, 256),
        "max_wal_size": _mb(machine.disk_free / 10, 64, 4096),
        # A container's /dev/shm has 64 MB by default: a parallel query would fail in it. Files do as well, if slower.
        "dynamic_shared_memory_type": "posix" if machine.shared_memory >= 512 * MB else "mmap",
        "max_parallel_workers": str(machine.cores),
        "max_parallel_workers_per_gather": str(min(machine.cores, 4)),
        # TimescaleDB takes one for its launcher and one for each database, the rest is for parallel queries.
        "timescaledb.max_background_workers": "16",
        "max_worker_processes": str(3 + 16 + machine.cores),
    }


def temp_file_limit(machine: Machine) -> str:
    """Return how large the temporary files of an analyst's query may grow, for each process that works on it.

    All that the analysts' sessions can have at a time, with the workers that help them, is to take no more than half of
    what is free. 1 GB is several times the largest table of the 503 stocks.
    """
    return _mb(machine.disk_free / 2 / (ANALYST_CONNECTIONS + machine.cores), 16, 1024)


def _mb(size: float, least: int, most: int) -> str:
    return f"{max(least, min(most, int(size / MB)))}MB"
