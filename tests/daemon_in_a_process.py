"""A daemon in a process of its own, which can be stopped and killed: `python daemon_in_a_process.py BEGIN SPEED JOBS`.

BEGIN is what its clock shows when it is first looked at (ISO 8601), SPEED how many seconds pass on it in one. JOBS are
`real`, or one daily in the place of the real ones: `probe` asks the database something, `hold` begins a transaction,
says `begun`, and asks once a line has come in. The environment says on which database and when (FORECASTLE_*).
"""

from __future__ import annotations

import sys
import time
from datetime import datetime, timedelta

from sqlalchemy import text

from jobs.crontab import Crontab
from jobs.schedule import scheduled_jobs
from jobs.scheduled import Scheduled
from mlops.cli.connect import open_as_worker, settings
from mlops.cli.logs import log_to_stderr
from mlops.cli.schedule import _say, run_daemon
from mlops.warehouse import Warehouse


def main(begin: str, speed: str, jobs: str) -> None:
    started: list[float] = []

    def now() -> datetime:
        if not started:
            started.append(time.monotonic())
        return datetime.fromisoformat(begin) + timedelta(seconds=(time.monotonic() - started[0]) * float(speed))

    def probe(warehouse: Warehouse, as_of: datetime) -> None:
        with warehouse.begin() as connection:
            if jobs == "hold":
                print("begun", flush=True)
                sys.stdin.readline()
            connection.execute(text("SELECT 1"))

    log_to_stderr()
    schedule = scheduled_jobs(settings())
    if jobs != "real":
        schedule = [Scheduled("daily", Crontab(settings().daily_at, "daily"), probe)]
    run_daemon(schedule, lambda: open_as_worker(None, _say), now=now, longest_sleep=0.05)


if __name__ == "__main__":
    main(*sys.argv[1:])
