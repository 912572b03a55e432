"""Training from the tables to the registry, on real prices: what stands there afterwards, whatever happens."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version as package_version
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from databases import database
from sqlalchemy import Row, text
from synthetic import spec
from technical import TECHNICAL_FEATURES

from jobs import train as job
from mlops import datasets, registry, training
from mlops.datasets import fingerprint, materialise, read_matrix
from mlops.domain import ModelVersion, Role
from mlops.exceptions import (
    ArtifactCorruptError,
    DatasetError,
    GateClosedError,
    JobBusyError,
    NoProductionModelError,
    RegistryError,
    WarehouseError,
)
from mlops.features import build
from mlops.modelling import Subset
from mlops.registry import list_versions, load_artifact, production, show
from mlops.scoring import Scorer
from mlops.sources import FileSource, kinds
from mlops.spec import Spec
from mlops.training import parse_spec
from mlops.warehouse import Warehouse

AS_OF = datetime(2013, 6, 1, tzinfo=UTC)
SCRIPT = Path(__file__).parents[1] / "train_in_a_process.py"
SMALL = spec(max_iter=5)


def open_gate(run_id: UUID, as_of: datetime) -> None:
    """Let everything pass."""


def trained(
    warehouse: Warehouse, wanted: Spec = SMALL, as_of: datetime = AS_OF, check: job.Gate | None = None
) -> job.TrainResult:
    return job.train(warehouse, wanted, as_of, check=check or open_gate)


def query(warehouse: Warehouse, statement: str, **parameters: object) -> list[Row[tuple[object, ...]]]:
    with warehouse.begin(role=None) as connection:
        return list(connection.execute(text(statement), parameters))


def statuses(warehouse: Warehouse) -> list[str]:
    return [row.status for row in query(warehouse, "SELECT status FROM ml.runs ORDER BY started_at")]


def counts(warehouse: Warehouse) -> dict[str, int]:
    tables = ("artifacts", "versions", "references", "baselines", "alias_moves", "aliases", "training_rows")
    return {table: query(warehouse, f'SELECT count(*) AS n FROM ml."{table}"')[0].n for table in tables}


NOTHING = dict.fromkeys(
    ("artifacts", "versions", "references", "baselines", "alias_moves", "aliases", "training_rows"), 0
)
ONE_VERSION = {
    **NOTHING,
    "artifacts": 1,
    "versions": 1,
    "references": 22,
    "baselines": 2,
    "alias_moves": 1,
    "aliases": 1,
}


def test_a_version_says_all_that_is_needed_to_train_it_again(featured: Warehouse) -> None:
    result = trained(featured)
    with featured.begin() as connection:
        version = show(connection, ModelVersion("test_gbm", 1))
        artifact = load_artifact(connection, version.name)
        assert list_versions(connection) == [version]
        assert production(connection) == production(connection, "test_gbm") == version.name
    assert version.sha256 == hashlib.sha256(artifact).hexdigest() == result.registered.sha256
    assert version.size_bytes == len(artifact)
    assert (version.family, version.timeframe, version.horizons) == ("hist_gradient_boosting", "d1", (1, 5))
    assert version.features == TECHNICAL_FEATURES == Scorer(artifact).feature_names
    assert version.feature_set_version == Scorer(artifact).feature_set_version
    assert (version.seed, version.as_of) == (7, AS_OF)
    assert parse_spec(version.spec) == SMALL
    assert version.hyperparameters == SMALL.hyperparameters.model_dump()
    assert version.packages["scikit-learn"] == package_version("scikit-learn")
    assert version.packages["onnx"] == package_version("onnx")
    assert version.code_revision == registry.code_revision()
    assert 0 <= version.parity_max_abs_diff < 1e-5
    assert version.data_from < version.data_to <= AS_OF
    assert datetime.fromisoformat(version.split["test_open_from"]) == result.dataset.plan.test_open_from
    assert (version.split["embargo"], version.split["longest_horizon"]) == (5, 5)
    assert version.aliases == ("production",)
    run = query(featured, "SELECT * FROM ml.runs")[0]
    assert (run.status, run.run_id, run.error) == ("succeeded", result.run_id, None)
    assert (run.n_train, run.n_validation, run.n_test) == tuple(result.dataset.rows[subset] for subset in Subset)
    assert run.n_excluded == sum(result.dataset.excluded.values()) > 0
    assert run.metrics == version.metrics == result.registered.metrics
    assert counts(featured) == ONE_VERSION
    seen = query(featured, "SELECT * FROM analytics.training_runs")[0]
    assert (seen.model, seen.version, seen.n_test) == ("test_gbm", 1, run.n_test)
    seen = query(featured, "SELECT * FROM analytics.model_registry")[0]
    assert (seen.stage, seen.sha256, seen.metrics) == ("production", version.sha256, version.metrics)


def test_references_and_baselines_are_those_of_the_rows(featured: Warehouse) -> None:
    result = trained(featured)
    with featured.begin() as connection:
        chosen = materialise(connection, result.run_id, SMALL, AS_OF)
        matrix = read_matrix(connection, result.run_id, SMALL.horizons, chosen)
        artifact = load_artifact(connection, result.registered.version)
    stored = {row.feature: row for row in query(featured, 'SELECT * FROM ml."references"')}
    train, validation = matrix.of(Subset.TRAIN), matrix.of(Subset.VALIDATION)
    quantiles, probabilities = Scorer(artifact).score(validation.features)
    samples = {name: train.features[:, i] for i, name in enumerate(TECHNICAL_FEATURES)}
    samples |= {f"p50_h{h}": quantiles[:, i, 1] for i, h in enumerate((1, 5))}
    assert set(stored) == set(samples)
    for name, values in samples.items():
        edges = np.array([-np.inf, *stored[name].edges, np.inf])
        expected = [int(((values >= low) & (values < high)).sum()) for low, high in pairwise(edges)]
        assert stored[name].counts == expected, name
    for i, row in enumerate(query(featured, "SELECT * FROM ml.baselines ORDER BY horizon")):
        right = probabilities[:, i].argmax(axis=1) == validation.directions[:, i]
        assert row.accuracy == pytest.approx(right.mean())
        assert row.train_median == pytest.approx(np.median(train.returns[:, i]))
        assert row.majority_class == ("BULLISH", "NEUTRAL", "BEARISH")[np.bincount(train.directions[:, i]).argmax()]


def test_trained_again_from_its_row_a_version_is_the_same(featured: Warehouse) -> None:
    trained(featured)
    with featured.begin() as connection:
        version = show(connection, ModelVersion("test_gbm", 1))
    again = trained(featured, parse_spec(version.spec), version.as_of)
    assert (again.registered.version, again.registered.is_new) == (version.name, False)
    assert again.registered.sha256 == version.sha256
    assert again.dataset.fingerprint == version.data_fingerprint
    for subset in ("validation", "test"):
        assert again.registered.metrics[subset] == version.metrics[subset]
    assert again.registered.metrics == version.metrics
    assert again.parity_max_abs_diff == version.parity_max_abs_diff
    assert counts(featured) == ONE_VERSION
    assert statuses(featured) == ["succeeded", "succeeded"]


def test_later_versions_wait_as_staging_and_every_move_is_kept(featured: Warehouse) -> None:
    for seed in (7, 8, 9):
        trained(featured, spec(max_iter=5 + seed))
    moves = query(featured, "SELECT * FROM ml.alias_moves ORDER BY id")
    assert [(move.alias, move.from_version, move.to_version) for move in moves] == [
        ("production", None, 1),
        ("staging", None, 2),
        ("staging", 2, 3),
    ]
    assert all("Skill of MAE over naive on the test part: h1 " in move.reason for move in moves)
    assert all(move.moved_by and move.moved_at for move in moves)
    with featured.begin() as connection:
        assert [version.aliases for version in list_versions(connection)] == [("staging",), (), ("production",)]
        assert production(connection) == ModelVersion("test_gbm", 1)
        seen = [version.metrics["test_windows_seen_before"] for version in list_versions(connection)]
    assert seen == [2, 1, 0]


def test_a_test_window_of_other_days_was_not_seen_before(featured: Warehouse) -> None:
    trained(featured, SMALL, datetime(2006, 1, 1, tzinfo=UTC))
    assert trained(featured, SMALL, AS_OF).registered.metrics["test_windows_seen_before"] == 0
    assert (
        trained(featured, SMALL, datetime(2005, 12, 1, tzinfo=UTC)).registered.metrics["test_windows_seen_before"] == 1
    )


def test_a_first_version_may_be_told_to_wait(featured: Warehouse) -> None:
    result = trained(featured, spec(max_iter=5, promotion={"first": "staging"}))
    assert result.registered.alias == "staging"
    with featured.begin() as connection, pytest.raises(NoProductionModelError, match="No version of test_gbm is in"):
        production(connection, "test_gbm")


def test_with_two_models_in_production_one_has_to_be_named(featured: Warehouse) -> None:
    trained(featured)
    trained(featured, spec(max_iter=5, model="other", horizons=(10, 20)))
    with featured.begin() as connection:
        with pytest.raises(RegistryError, match="other, test_gbm"):
            production(connection)
        assert production(connection, "other") == ModelVersion("other", 1)
        assert [version.name.model for version in list_versions(connection, "other")] == ["other"]
        with pytest.raises(RegistryError, match="There is no other v2"):
            show(connection, ModelVersion("other", 2))
        with pytest.raises(RegistryError, match="There is no other v2"):
            load_artifact(connection, ModelVersion("other", 2))


def test_what_says_the_same_shares_its_bytes(featured: Warehouse) -> None:
    trained(featured)
    second = trained(featured, spec(max_iter=5, candidate="twin")).registered
    assert (second.version.version, second.is_new, second.alias) == (2, True, "staging")
    assert (counts(featured)["versions"], counts(featured)["artifacts"]) == (2, 1)


def test_another_model_may_not_answer_for_the_same_symbols(featured: Warehouse) -> None:
    trained(featured)
    with pytest.raises(RegistryError, match=r"test_gbm forecasts AAPL in d1 already.*`model = \"test_gbm\"`"):
        trained(featured, spec(max_iter=5, model="other", horizons=(5, 10)))
    assert [row.model for row in query(featured, "SELECT model FROM ml.models")] == ["test_gbm"]
    fx = spec(max_iter=5, model="fx", universe={"asset_class": "fx"})
    with pytest.raises(DatasetError, match=r"no d1 row to train on.*other symbols under \[universe\]"):
        trained(featured, fx)


@pytest.mark.parametrize(
    ("changes", "what"), [({"horizons": (1,)}, "horizons"), ({"universe": {"exchange": "XNYS"}}, "universe")]
)
def test_candidates_of_a_model_ask_the_same(featured: Warehouse, changes: dict[str, Any], what: str) -> None:
    trained(featured)
    with pytest.raises(RegistryError, match=rf"test_gbm is asked with {what} .* test_gbm/late says"):
        trained(featured, spec(max_iter=5, candidate="late", **changes))
    assert statuses(featured) == ["succeeded"]


def test_a_model_without_a_version_is_declared_anew(featured: Warehouse) -> None:
    with pytest.raises(DatasetError):
        trained(featured, spec(max_iter=5, universe={"exchange": "XTKS"}))
    assert trained(featured, spec(max_iter=5, universe={"asset_class": "equity"})).registered.is_new
    [row] = query(featured, "SELECT universe FROM ml.models")
    assert row.universe == {"asset_class": "equity"}


def test_only_symbols_of_the_universe_are_trained_on(featured: Warehouse, tmp_path: Path) -> None:
    """On the list are two stocks; one left it in 2008: its rows from then on are none of the question's."""
    (tmp_path / "lists.csv").write_text("list,symbol,from,until\ntwo,AAPL,1990-01-01,\ntwo,IBM,1990-01-01,2008-01-01\n")
    assert kinds()["universes"].ingest(featured, FileSource(tmp_path / "lists.csv")).new == 2
    seen: dict[str, datetime] = {}

    def look(run_id: UUID, as_of: datetime) -> None:
        rows = query(
            featured,
            "SELECT ticker, max(as_of) AS newest FROM ml.training_rows JOIN market.symbols ON id = symbol_id "
            "WHERE run_id = :run_id GROUP BY ticker",
            run_id=run_id,
        )
        seen.update({str(row.ticker): row.newest for row in rows})

    result = trained(featured, spec(max_iter=5, universe={"list": "two"}), check=look)
    assert sorted(seen) == ["AAPL", "IBM"]
    assert datetime(2007, 12, 20, tzinfo=UTC) < seen["IBM"] < datetime(2008, 1, 1, tzinfo=UTC)
    assert seen["AAPL"] > datetime(2013, 2, 1, tzinfo=UTC)
    assert result.dataset.symbols == 2


def test_a_symbol_with_too_few_bars_is_not_in_the_universe(featured: Warehouse) -> None:
    n = {row.ticker: row.n for row in query(
        featured,
        "SELECT ticker, count(*) AS n FROM market.bars JOIN market.symbols ON id = symbol_id "
        "WHERE known_at <= :as_of GROUP BY ticker", as_of=AS_OF,
    )}  # fmt: skip
    fewest = min(n, key=lambda ticker: n[ticker])
    result = trained(featured, spec(max_iter=5, universe={"minimum_bars": n[fewest] + 1}))
    assert result.dataset.symbols == len(n) - 1


def test_without_a_model_the_error_says_which_command_trains_one(warehouse: Warehouse) -> None:
    with warehouse.begin() as connection, pytest.raises(NoProductionModelError, match="forecastle train stocks_d1/gbm"):
        production(connection)


@pytest.mark.parametrize("role", [Role.WORKER, Role.DBT, Role.OWNER, None])
@pytest.mark.parametrize("table", ["artifacts", "versions", '"references"', "baselines", "alias_moves"])
@pytest.mark.parametrize("change", ["UPDATE ml.{} SET {} = {}", "DELETE FROM ml.{}", "TRUNCATE ml.{} CASCADE"])
def test_what_is_registered_cannot_be_changed(
    registered: Warehouse, role: Role | None, table: str, change: str
) -> None:
    column = "format" if table == "artifacts" else "model"
    before = counts(registered)
    with pytest.raises(WarehouseError, match=r"append-only|permission denied"), registered.begin(role) as connection:
        connection.execute(text(change.format(table, column, column)))
    assert counts(registered) == before


@pytest.fixture(scope="module")
def registered(server_url: str, featured_template: str) -> Iterator[Warehouse]:
    """One database with one version, for tests that change nothing."""
    from mlops.warehouse.databases import beside

    with database(server_url, featured_template) as name, Warehouse(beside(server_url, name)) as warehouse:
        trained(warehouse)
        yield warehouse


def test_nobody_points_an_alias_without_saying_why(registered: Warehouse) -> None:
    with pytest.raises(WarehouseError, match="check constraint"), registered.begin() as connection:
        connection.execute(text("SELECT ml.place_version('test_gbm', 1, 'staging', '')"))
    with pytest.raises(WarehouseError, match="permission denied"), registered.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO ml.alias_moves (model, alias, to_version, kind, reason) "
                "VALUES ('test_gbm', 'staging', 1, 'registration', 'because')"
            )
        )
    with pytest.raises(WarehouseError, match="permission denied"), registered.begin() as connection:
        connection.execute(text("UPDATE ml.aliases SET version = 2"))


def test_bytes_that_were_changed_are_refused(featured: Warehouse) -> None:
    name = trained(featured).registered.version
    with pytest.raises(WarehouseError, match="append-only"), featured.begin(Role.OWNER) as connection:
        connection.execute(text("UPDATE ml.artifacts SET bytes = bytes || 'x'::bytea"))
    with featured.begin(role=None) as connection:  # as a failing disk would, behind triggers and constraints
        connection.execute(text("ALTER TABLE ml.artifacts DISABLE TRIGGER is_immutable"))
        connection.execute(text("ALTER TABLE ml.artifacts DROP CONSTRAINT artifacts_check"))
        connection.execute(text("UPDATE ml.artifacts SET bytes = set_byte(bytes, 1000, get_byte(bytes, 1000) # 1)"))
    with featured.begin() as connection, pytest.raises(ArtifactCorruptError, match="not those that were registered"):
        load_artifact(connection, name)


def test_a_closed_gate_blocks_training(featured: Warehouse) -> None:
    given: list[tuple[UUID, datetime, int]] = []

    def closed(run_id: UUID, as_of: datetime) -> None:
        rows = query(featured, "SELECT count(*) AS n FROM ml.training_rows WHERE run_id = :run_id", run_id=run_id)
        given.append((run_id, as_of, rows[0].n))
        raise GateClosedError("The gate is closed: 3 rows.")

    with pytest.raises(GateClosedError, match="3 rows"):
        job.train(featured, SMALL, AS_OF, check=closed)
    run = query(featured, "SELECT * FROM ml.runs")[0]
    assert (run.status, run.error) == ("blocked", "GateClosedError: The gate is closed: 3 rows.")
    assert given[0][:2] == (run.run_id, AS_OF)
    assert given[0][2] > 10_000
    assert counts(featured) == NOTHING


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ("choose:0", RuntimeError("no")),
        ("read:0", RuntimeError("no")),
        ("fit:3", KeyboardInterrupt()),
        ("register:0", RuntimeError("no")),
    ],
)
def test_a_run_that_fails_says_so_and_leaves_nothing(featured: Warehouse, step: str, error: BaseException) -> None:
    def progress(what: str, done: int, total: int) -> None:
        if f"{what}:{done}" == step:
            raise error

    with pytest.raises(type(error)):
        job.train(featured, SMALL, AS_OF, check=open_gate, progress=progress)
    run = query(featured, "SELECT * FROM ml.runs")[0]
    assert (run.status, run.error) == ("failed", f"{type(error).__name__}: {error}")
    assert counts(featured) == NOTHING
    assert trained(featured).registered.version.version == 1


def test_a_failure_in_the_midst_of_registering_takes_everything_back(featured: Warehouse) -> None:
    with featured.begin(role=None) as connection:
        connection.execute(text("ALTER TABLE ml.alias_moves ADD CONSTRAINT never CHECK (model = '')"))
    with pytest.raises(WarehouseError, match="never"):
        trained(featured)
    assert statuses(featured) == ["failed"]
    assert counts(featured) == NOTHING


def test_two_at_once_are_one(featured: Warehouse) -> None:
    inside, go_on = Event(), Event()

    def slow(run_id: UUID, as_of: datetime) -> None:
        inside.set()
        assert go_on.wait(60)

    first = Thread(target=lambda: job.train(featured, SMALL, AS_OF, check=slow))
    first.start()
    try:
        assert inside.wait(60)
        with pytest.raises(JobBusyError, match="test_gbm is being trained already"):
            trained(featured)
        # another model is nobody's business
        assert trained(featured, spec(max_iter=5, model="other")).registered.is_new
        assert sorted(statuses(featured)) == ["running", "succeeded"]
    finally:
        go_on.set()
        first.join(60)
    assert statuses(featured) == ["succeeded", "succeeded"]


@contextmanager
def training_elsewhere(warehouse: Warehouse, stop_at: str) -> Iterator[subprocess.Popen[str]]:
    """A process of its own that trains and has come as far as `stop_at`."""
    worker = subprocess.Popen(
        [sys.executable, str(SCRIPT), warehouse.plain_url, "test_gbm", stop_at],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SCRIPT.parents[1])},
    )
    assert worker.stdout is not None
    try:
        assert worker.stdout.readline().strip() == stop_at
        yield worker
    finally:
        worker.kill()
        worker.wait()


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("step", ["check:0", "fit:2"])
def test_after_a_kill_the_next_run_completes(featured: Warehouse, step: str) -> None:
    with training_elsewhere(featured, step) as worker:
        with pytest.raises(JobBusyError):
            trained(featured)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    assert statuses(featured) == ["running"]
    assert {**counts(featured), "training_rows": 0} == NOTHING
    assert trained(featured).registered.version == ModelVersion("test_gbm", 1)
    assert statuses(featured) == ["abandoned", "succeeded"]
    assert counts(featured) == ONE_VERSION


@pytest.mark.parametrize("table", ["versions", "alias_moves"])
def test_a_kill_within_the_registering_transaction_leaves_no_half_version(featured: Warehouse, table: str) -> None:
    with featured.begin(role=None) as blocker:
        blocker.execute(text(f"LOCK TABLE ml.{table} IN EXCLUSIVE MODE"))
        with training_elsewhere(featured, "register:0") as worker:
            waiting = f"SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'ml.{table}'::regclass"
            wait_until(lambda: bool(blocker.execute(text(waiting)).all()))
            worker.send_signal(signal.SIGKILL)
            worker.wait()
    assert statuses(featured) == ["running"]
    assert {**counts(featured), "training_rows": 0} == NOTHING
    assert trained(featured).registered.version == ModelVersion("test_gbm", 1)
    assert statuses(featured) == ["abandoned", "succeeded"]
    assert counts(featured) == ONE_VERSION


def test_the_checks_of_the_training_set_pass_on_real_prices(featured: Warehouse) -> None:
    result = job.run(featured, AS_OF, SMALL)
    rows = query(featured, "SELECT success, suite FROM monitoring.check_results WHERE run_id = :id", id=result.run_id)
    assert "training_set" in {row.suite for row in rows}
    assert all(row.success for row in rows)
    assert query(featured, "SELECT state FROM monitoring.job_runs WHERE job = 'train'")[0].state == "succeeded"


def test_a_symbol_at_fault_is_left_out_and_the_others_are_trained_on(featured: Warehouse) -> None:
    with featured.begin(role=None) as connection:
        connection.execute(
            text(
                "UPDATE market.bars SET open = open / 7, high = high / 7, low = low / 7, close = close / 7, "
                "adj_close = adj_close / 7, recorded_at = clock_timestamp() WHERE ts >= '2011-03-01' "
                "AND symbol_id = (SELECT id FROM market.symbols WHERE ticker = 'AAPL')"
            )
        )
    build(featured, select=["features.technical", "labels.forward"])
    result = job.run(featured, AS_OF, SMALL)
    n_of_symbol = query(
        featured,
        "SELECT count(*) AS n FROM features.technical AS t JOIN labels.forward AS l USING (symbol_id, timeframe, ts) "
        "JOIN market.symbols AS s ON s.id = t.symbol_id WHERE s.ticker = 'AAPL' AND l.known_ats[2] <= :as_of",
        as_of=AS_OF,
    )[0].n
    assert result.dataset.excluded["quarantined"] == n_of_symbol > 1000
    assert sum(result.dataset.rows.values()) > 2 * n_of_symbol
    named = query(
        featured,
        "SELECT DISTINCT s.ticker, f.expectation FROM monitoring.symbols_at_fault AS f "
        "JOIN market.symbols AS s ON s.id = f.symbol_id WHERE f.run_id = :id",
        id=result.run_id,
    )
    assert [(row.ticker, row.expectation) for row in named] == [("AAPL", "no_split_is_unadjusted")]
    run = query(featured, "SELECT metrics FROM ml.runs WHERE run_id = :id", id=result.run_id)[0]
    assert run.metrics["excluded"]["quarantined"] == n_of_symbol
    without = trained(featured, check=lambda run_id, as_of: {row.id for row in query(
        featured, "SELECT id FROM market.symbols WHERE ticker = 'AAPL'")})  # fmt: skip
    assert without.dataset.fingerprint == result.dataset.fingerprint


def test_a_leak_closes_the_gate_before_anything_is_trained(featured: Warehouse) -> None:
    """Each feature row carries the return of the next five bars: the dream of every backtest."""
    with featured.begin(Role.DBT) as connection:
        connection.execute(
            text(
                "UPDATE features.technical AS t SET return_5 = l.forward_returns[2] FROM labels.forward AS l "
                "WHERE l.symbol_id = t.symbol_id AND l.timeframe = t.timeframe AND l.ts = t.ts "
                "AND l.forward_returns[2] IS NOT NULL"
            )
        )
    with pytest.raises(GateClosedError, match="features_equal_a_rebuild_at_the_cutoff"):
        job.run(featured, AS_OF, SMALL)
    assert statuses(featured) == ["blocked"]
    assert counts(featured) == NOTHING


def test_a_model_of_real_prices_has_no_skill_on_shuffled_labels(featured: Warehouse) -> None:
    result = trained(featured)
    with featured.begin() as connection:
        chosen = datasets.materialise(connection, result.run_id, SMALL, AS_OF)
        matrix = read_matrix(connection, result.run_id, SMALL.horizons, chosen)
    order = np.random.default_rng(1).permutation(len(matrix))
    shuffled = type(matrix)(
        feature_names=matrix.feature_names,
        horizons=matrix.horizons,
        features=matrix.features,
        returns=matrix.returns[order],
        directions=matrix.directions[order],
        subset=matrix.subset,
        symbols=matrix.symbols,
        symbol=matrix.symbol,
        as_of=matrix.as_of,
    )
    assert fingerprint(shuffled) != fingerprint(matrix)
    model = training.train(spec(max_iter=20), shuffled, "technical-1")
    for entry in model.metrics["test"].values():
        assert entry["pinball"]["skill"] < 0.02
        assert entry["log_loss"]["skill"] < 0.02
        assert entry["accuracy"]["skill"] < 0.03
