"""What the system says becomes a line for a person."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from mlops.embedded.failures import explained, failed
from mlops.exceptions import EmbeddedServerError


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            "2026-11-21 03:11:56 UTC [1] LOG:  starting\n2026-11-21 03:11:56 UTC [1] FATAL:  could not map memory.\n"
            "2026-11-21 03:11:57 UTC [1] LOG:  shut down",
            "It failed: could not map memory.",
        ),
        ("initdb: error: invalid locale settings\ninitdb: hint: none", "It failed: invalid locale settings."),
        (
            "E: Failed to fetch http://mirror.example/x  404  Not Found\n",
            "Failed to fetch http://mirror.example/x  404",
        ),
        ("strange\nwords\n\n", "It failed: words."),
        ("", "It failed: it said nothing."),
    ],
)
def test_the_worst_line_is_the_reason(tmp_path: Path, said: str, expected: str) -> None:
    assert expected in str(failed("It failed", said, tmp_path))


def test_what_a_terminal_would_obey_is_left_out(tmp_path: Path) -> None:
    said = str(failed("It failed", "FATAL:  no \x1b]0;title\x07\x1b[2Jroom\x9b31m", tmp_path))
    assert said.isprintable()
    assert "no" in said
    assert "room" in said


def test_the_log_is_named(tmp_path: Path) -> None:
    assert str(failed("It failed", "FATAL:  no", tmp_path, tmp_path / "log")).endswith(f"Its log: {tmp_path / 'log'}.")


@pytest.mark.parametrize(
    "said",
    [
        'FATAL:  could not write lock file "postmaster.pid": No space left on device',
        "E: You don't have enough free space in /x/cache/archives/.",
        "tar: ./usr/bin: Cannot write: Disk quota exceeded",
    ],
)
def test_a_full_disk_is_told_apart(tmp_path: Path, said: str) -> None:
    assert f"The disk that holds {tmp_path} is full" in str(failed("It failed", said, tmp_path))


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, "is full"),
        (errno.EACCES, "may not be read or written by this user"),
        (errno.EROFS, "may not be read or written by this user"),
        (errno.ENOTDIR, "FORECASTLE_HOME may name another folder"),
    ],
)
def test_errors_of_the_system_say_what_to_do(tmp_path: Path, number: int, expected: str) -> None:
    with pytest.raises(EmbeddedServerError, match=expected), explained(tmp_path):
        raise OSError(number, "as the system calls it", str(tmp_path))
