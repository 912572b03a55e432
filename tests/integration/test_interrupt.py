"""Ctrl-C at work: one plain line, the status that a shell expects, and nothing half done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from mlops.sources import SampleSource, ingest_bars
from mlops.warehouse import Warehouse

FORECASTLE = Path(sys.executable).with_name("forecastle")
SPEC = Path(__file__).parents[2] / "specs" / "stocks_d1" / "gbm.toml"
LINE = "Interrupted. What was complete stays; what was going on left nothing half done.\n"

DBT = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'dbt'"
AT_FEATURES = f"{DBT} AND state = 'active' AND query LIKE '%create temporary table technical_built %'"
AT_CHECKS = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'forecastle-checks'"
AT_A_LOCK = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


def interrupted(
    warehouse: Warehouse, *command: str, when: str, and_then: Callable[[], object] = lambda: None
) -> tuple[int, str]:
    """Run `forecastle` until the query `when` has a row in its database; press Ctrl-C. Return its status and words."""
    process = subprocess.Popen(
        [str(FORECASTLE), *command],
        env=os.environ | {"FORECASTLE_DATABASE_URL": warehouse.plain_url},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # a shell that started the tests in the background lets its children ignore Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )  # fmt: skip
    try:
        here = f"{when} {'AND datname = current_database()' if 'pg_stat_activity' in when else ''}"
        end = time.monotonic() + 120
        while not one(warehouse, f"SELECT EXISTS ({here})"):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.02)
        and_then()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert "Traceback" not in err, err
    return process.returncode, (out + err).lstrip("\n")  # what is left of a progress bar where there is no terminal


def one(warehouse: Warehouse, query: str) -> object:
    with warehouse.begin(role=None) as connection:
        return connection.execute(text(query)).scalar_one()


def test_features_build(warehouse: Warehouse) -> None:
    ingest_bars(warehouse, SampleSource())
    assert interrupted(warehouse, "features", "build", when=AT_FEATURES) == (130, LINE)
    end = time.monotonic() + 20  # the server looks now and then whether a client is still there
    while one(warehouse, f"SELECT EXISTS ({DBT} AND datname = current_database())"):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert one(warehouse, "SELECT to_regclass('features.technical')") is None


def test_check(featured: Warehouse) -> None:
    assert interrupted(featured, "check", "--as-of", "2013-02-28", when=AT_CHECKS) == (130, LINE)
    assert one(featured, "SELECT count(*) FROM monitoring.check_results") == 0


def test_train(featured: Warehouse) -> None:
    ended = interrupted(
        featured, "train", str(SPEC), "--as-of", "2012-12-03",
        when="SELECT 1 FROM monitoring.check_results WHERE suite = 'training_set'", and_then=lambda: time.sleep(1),
    )  # fmt: skip
    assert ended == (130, LINE)
    for table in ("versions", "artifacts", "aliases", "training_rows"):
        assert one(featured, f"SELECT count(*) FROM ml.{table}") == 0
    assert one(featured, "SELECT status || ', ' || error FROM ml.runs") == "failed, KeyboardInterrupt: "
    assert one(featured, "SELECT state || ', ' || error FROM monitoring.job_runs") == "failed, KeyboardInterrupt"


def test_ingest(warehouse: Warehouse) -> None:
    with warehouse.begin(role=None) as connection:
        connection.execute(text("LOCK TABLE market.bars IN ACCESS EXCLUSIVE MODE"))
        assert interrupted(warehouse, "ingest", "bars", "--source", "sample", when=AT_A_LOCK) == (130, LINE)
    for table in ("bars", "symbols", "ingests", "sessions"):
        assert one(warehouse, f"SELECT count(*) FROM market.{table}") == 0


@pytest.mark.parametrize("waits", ["0", "0.02"])
def test_before_anything_has_begun(waits: str) -> None:
    """From a moment on at which Python itself has started."""
    code = (
        "import signal, threading, os, time\n"
        "from mlops.cli import main\n"
        f"threading.Thread(target=lambda: (time.sleep({waits}), os.kill(os.getpid(), signal.SIGINT))).start()\n"
        "main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, "db", "url", "--database-url", "postgresql://u@h/d"],
        capture_output=True, text=True, check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (130, LINE)
