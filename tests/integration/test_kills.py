"""Killed at any moment, nothing is lost or doubled: a few kills; `python -m kills` makes as many as one likes."""

from __future__ import annotations

from kills.harness import HOWS, run


def test_nothing_is_lost_doubled_or_left_where_every_part_is_killed() -> None:
    summary = run(6, seed=1, days=1, short=True)
    assert summary.problems == []
    assert {how for how in HOWS if any(f"killed {how}" in line for line in summary.kills)} == set(HOWS)
