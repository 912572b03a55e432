"""The server's size follows the machine's."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from mlops.embedded.sizing import ANALYST_CONNECTIONS, MB, Machine, sizes, temp_file_limit

GB = 1024 * MB


def test_a_machine_of_8_gb() -> None:
    found = sizes(Machine(memory=8 * GB, shared_memory=4 * GB, disk_free=100 * GB, cores=2))
    assert found["shared_buffers"] == "2048MB"
    assert found["work_mem"] == "64MB"
    assert found["maintenance_work_mem"] == "512MB"
    assert found["max_wal_size"] == "4096MB"
    assert found["max_parallel_workers"] == "2"
    assert found["dynamic_shared_memory_type"] == "posix"


def test_a_container_of_1_gb_with_the_usual_shared_memory() -> None:
    found = sizes(Machine(memory=GB, shared_memory=64 * MB, disk_free=5 * GB, cores=1))
    assert found["shared_buffers"] == "256MB"
    assert found["work_mem"] == "8MB"
    assert found["max_wal_size"] == "512MB"
    assert found["dynamic_shared_memory_type"] == "mmap"


def test_temporary_files_of_analysts_leave_half_of_what_is_free() -> None:
    roomy = Machine(memory=8 * GB, shared_memory=GB, disk_free=100 * GB, cores=2)
    assert temp_file_limit(roomy) == "1024MB"
    small = Machine(memory=GB, shared_memory=GB, disk_free=4 * GB, cores=2)
    assert int(temp_file_limit(small)[:-2]) * MB * (ANALYST_CONNECTIONS + 2) <= 2 * GB
    assert temp_file_limit(Machine(memory=GB, shared_memory=GB, disk_free=0, cores=2)) == "16MB"


@given(
    memory=st.integers(256 * MB, 4096 * GB),
    disk=st.integers(0, 4096 * GB),
    cores=st.integers(1, 512),
    shared=st.integers(0, GB),
)
def test_the_server_never_takes_more_than_the_machine_has(memory: int, disk: int, cores: int, shared: int) -> None:
    found = sizes(Machine(memory, shared, disk, cores))
    size = {name: int(value[:-2]) * MB for name, value in found.items() if re.fullmatch(r"\d+MB", value)}
    assert size["shared_buffers"] <= min(memory / 4, 2 * GB)
    assert size["work_mem"] <= 64 * MB
    assert size["shared_buffers"] + size["maintenance_work_mem"] + 4 * size["work_mem"] <= memory
    assert 2 * 16 * MB <= size["min_wal_size"] <= size["max_wal_size"]
    assert int(found["max_worker_processes"]) > int(found["timescaledb.max_background_workers"]) + cores
