"""`PYTHONPATH=tests python -m kills --kills 71 --seed 1`; exit status 1 where something was lost, doubled or left."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from kills.harness import run


def _print(line: str) -> None:
    print(line, flush=True)


def main() -> int:
    """Kill, compare, and print what was killed where and what was wrong."""
    parser = argparse.ArgumentParser(prog="kills", description="Kill each stage and compare with an undisturbed run.")
    parser.add_argument("--kills", type=int, default=71, help="how many (default: 71)")
    parser.add_argument("--seed", type=int, default=1, help="another seed kills elsewhere (default: 1)")
    parser.add_argument("--days", type=int, default=8, help="how many daily jobs (default: 8)")
    parser.add_argument("--short", action="store_true", help="leave out what the daily job runs as well")
    chosen = parser.parse_args()
    began = time.monotonic()
    summary = run(chosen.kills, chosen.seed, chosen.days, short=chosen.short, progress=_print)
    print(f"\n{len(summary.kills)} kills in {time.monotonic() - began:.0f} s, seed {chosen.seed}:")
    for what, n in sorted(Counter(line.partition(", before moment")[0] for line in summary.kills).items()):
        print(f"{n:4d}  {what}")
    for problem in summary.problems:
        print(f"PROBLEM  {problem}")
    print("Nothing was lost, doubled or left behind." if not summary.problems else f"{len(summary.problems)} problems.")
    return 1 if summary.problems else 0


if __name__ == "__main__":
    sys.exit(main())
