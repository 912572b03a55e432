"""The Compose file for those who prefer a container."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

SERVICE = yaml.safe_load((Path(__file__).parents[2] / "compose.yaml").read_text("utf-8"))["services"]["timescaledb"]


def test_the_image_is_pinned() -> None:
    assert re.fullmatch(r"timescale/timescaledb:\d+\.\d+\.\d+-pg17", SERVICE["image"])


def test_the_server_is_for_this_machine_alone_and_tells_nobody() -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICE["ports"])
    assert SERVICE["environment"]["TIMESCALEDB_TELEMETRY"] == "off"


def test_there_is_no_password_in_the_file() -> None:
    assert SERVICE["environment"]["POSTGRES_PASSWORD"].startswith("${POSTGRES_PASSWORD:?")


def test_ready_means_ready_over_tcp() -> None:
    assert "--host 127.0.0.1" in SERVICE["healthcheck"]["test"]
