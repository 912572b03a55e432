"""Train in a process of its own, which can be killed: `python train_in_a_process.py URL MODEL STEP`.

At STEP of the way it prints the step and stays there; with STEP `register` it goes on into the transaction that
registers, where the test stops it by a lock. Nothing is checked: the gate is open.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime

from synthetic import spec

from jobs.train import train
from mlops.warehouse import Warehouse

AS_OF = datetime(2013, 6, 1, tzinfo=UTC)


def main(url: str, model: str, stop_at: str) -> None:
    def progress(what: str, done: int, total: int) -> None:
        if f"{what}:{done}" == stop_at:
            print(stop_at, flush=True)
            if what != "register":
                time.sleep(600)

    with Warehouse(url) as warehouse:
        train(warehouse, spec(max_iter=5, model=model), AS_OF, check=lambda run_id, as_of: None, progress=progress)
    print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
