"""Drift: the database's figures against numpy and worked examples, every boundary, and nothing known later."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from small_world import World, closes, direction, opens, register
from sqlalchemy import text
from technical import HORIZONS, TECHNICAL_FEATURES

from mlops.drift import DriftSummary, FeatureDrift, SymbolDrift, measure
from mlops.exceptions import DriftError, NoProductionModelError
from mlops.forecasting import forecast
from mlops.outcomes import resolve
from mlops.spec import DriftSpec
from mlops.warehouse import Warehouse

TICKERS = tuple(f"T{i}" for i in range(8))
FEATURE_ROWS = "SELECT * FROM monitoring.feature_drift ORDER BY model, version, feature, day"
SYMBOL_ROWS = "SELECT * FROM monitoring.drift ORDER BY model, version, symbol_id, day"


def psi(edges: NDArray[Any], counts: NDArray[Any], values: NDArray[Any]) -> float:
    """Population stability index from its definition, in float32 as a model sees; an empty bin has a share of 1e-4."""
    values = values.astype(np.float32).astype(np.float64)
    current = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(counts))
    e = np.maximum(counts / counts.sum(), 1e-4)
    a = np.maximum(current / current.sum(), 1e-4)
    return float(np.sum((a - e) * np.log(a / e)))


def deciles(values: NDArray[Any]) -> tuple[list[float], list[int]]:
    edges = np.unique(np.quantile(values, np.linspace(0.1, 0.9, 9)))
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
    return edges.tolist(), counts.tolist()


def references(seed: int = 3) -> dict[str, tuple[list[float], list[int]]]:
    """Deciles of normal samples, each a little off from what the world's features are."""
    rng = np.random.default_rng(seed)
    found = {name: deciles(rng.normal(0.05 * i, 1, 3000)) for i, name in enumerate(TECHNICAL_FEATURES)}
    return found | {f"p50_h{h}": deciles(rng.normal(0, 0.05, 3000)) for h in HORIZONS}


@pytest.fixture
def world(warehouse: Warehouse) -> World:
    """Eight symbols, 100 bars, and a version trained as of the 60th."""
    world = World(warehouse, tickers=TICKERS).build()
    register(warehouse, world.close_of(59), references=references())
    return world


def features_of(summary: DriftSummary) -> dict[str, FeatureDrift]:
    return {each.feature: each for each in summary.versions[0].features}


def bars_in_window(world: World, last: int, days: int = 30) -> list[int]:
    until = world.close_of(last)
    return [i for i in range(last + 1) if until - timedelta(days=days) < closes(world.days[i]) <= until]


# Population stability ------------------------------------------------------------------------------------------------


def test_psi_equals_numpy(world: World) -> None:
    summary = measure(world.warehouse, world.close_of(80))
    bars = bars_in_window(world, 80)
    assert len(bars) == 22
    for i, name in enumerate(TECHNICAL_FEATURES):
        edges, counts = references()[name]
        expected = psi(np.array(edges), np.array(counts), world.features[:, bars, i].ravel())
        found = features_of(summary)[name]
        assert found.psi == pytest.approx(expected, rel=0, abs=1e-12)
        assert (found.n_reference, found.n_current) == (3000, 8 * 22)


def test_psi_of_predictions_equals_numpy(world: World) -> None:
    for bar in range(60, 81):
        forecast(world.warehouse, world.close_of(bar))
    summary = measure(world.warehouse, world.close_of(80))
    for h in HORIZONS:
        said = world.rows("SELECT p50 FROM ml.predictions WHERE horizon = :h", h=h)
        edges, counts = references()[f"p50_h{h}"]
        found = features_of(summary)[f"p50_h{h}"]
        assert found.n_current == 8 * 21
        expected = psi(np.array(edges), np.array(counts), np.array([row.p50 for row in said]))
        assert found.psi == pytest.approx(expected, rel=0, abs=1e-12)


def plant(world: World, values: list[float | None], feature: str = "return_1") -> None:
    """Let `feature` have these values, one symbol and bar each, in the window that ends with bar 80; no other rows."""
    names = ", ".join(each for each in TECHNICAL_FEATURES if each != feature)
    zeros = ", ".join("0" for _ in TECHNICAL_FEATURES[1:])
    world.owner("DELETE FROM features.technical")
    if not values:
        return
    with world.warehouse.begin(role=None) as connection:
        connection.execute(
            text(
                "INSERT INTO features.technical (symbol_id, timeframe, ts, as_of, known_at, recorded_at, "
                f"feature_set_version, {feature}, {names}) "
                f"VALUES (:symbol_id, 'd1', :ts, :as_of, :as_of, now(), 'technical-1', :value, {zeros})"
            ),
            [
                {
                    "symbol_id": i, "ts": opens(world.days[80]), "as_of": closes(world.days[80]), "value": value,
                }
                for i, value in enumerate(values)
            ],
        )  # fmt: skip


def with_reference(world: World, edges: list[float], counts: list[int], *, minimum: int = 1, version: int = 2) -> None:
    register(
        world.warehouse, world.close_of(59), version=version, references={"return_1": (edges, counts)},
        drift=DriftSpec(window_days=30, minimum_predictions=minimum),
    )  # fmt: skip


def test_worked_example(world: World) -> None:
    """Shares 0.5, 0.3, 0.2 become 0.4, 0.3, 0.3: (-0.1) ln 0.8 + 0 + 0.1 ln 1.5 = 0.0628609."""
    with_reference(world, [0.0, 1.0], [500, 300, 200])
    plant(world, [-1.0] * 40 + [0.5] * 30 + [1.0] * 30)
    found = features_of(measure(world.warehouse, world.close_of(80)))["return_1"]
    assert found.psi == pytest.approx(0.06286086, abs=1e-8)
    assert (found.n_reference, found.n_current, found.state) == (1000, 100, "normal")


def test_value_on_an_edge_is_above_it(world: World) -> None:
    with_reference(world, [0.0], [500, 500])
    plant(world, [0.0] * 50 + [-1e-300] * 50)
    assert features_of(measure(world.warehouse, world.close_of(80)))["return_1"].psi == 0


def test_values_are_rounded_as_for_training(world: World) -> None:
    """0.1 in float32 is above 0.1: as an edge it has to hold the value that it came from."""
    with_reference(world, [float(np.float32(0.1))], [500, 500])
    plant(world, [0.1] * 50 + [0.09] * 50)
    assert features_of(measure(world.warehouse, world.close_of(80)))["return_1"].psi == 0


def test_empty_bin_counts_as_one_in_ten_thousand(world: World) -> None:
    with_reference(world, [0.0], [500, 500])
    plant(world, [1.0] * 100)
    found = features_of(measure(world.warehouse, world.close_of(80)))["return_1"]
    assert found.psi == pytest.approx((1e-4 - 0.5) * np.log(1e-4 / 0.5) + 0.5 * np.log(2), abs=1e-12)
    assert found.state == "alert"


def test_feature_that_was_constant_in_training_has_one_bin(world: World) -> None:
    with_reference(world, [], [1000])
    plant(world, [1.0] * 100)
    found = features_of(measure(world.warehouse, world.close_of(80)))["return_1"]
    assert (found.psi, found.state) == (0, "normal")


def test_nulls_are_in_no_bin(world: World) -> None:
    with_reference(world, [0.0], [500, 500])
    plant(world, [1.0] * 50 + [-1.0] * 50 + [None] * 7)
    found = features_of(measure(world.warehouse, world.close_of(80)))["return_1"]
    assert (found.psi, found.n_current) == (0, 100)


def test_states_of_psi(world: World) -> None:
    """Of two even bins, a share of 0.5 + d gives PSI = d ln((1 + 2d) / (1 - 2d)): 0.1 at 0.1556, 0.25 at 0.2396."""
    with_reference(world, [0.0], [5000, 5000])
    states = {}
    for first_bin in (500, 655, 656, 739, 740):
        plant(world, [-1.0] * first_bin + [1.0] * (1000 - first_bin))
        states[first_bin] = features_of(measure(world.warehouse, world.close_of(80)))["return_1"].state
    assert states == {500: "normal", 655: "normal", 656: "monitor", 739: "monitor", 740: "alert"}


def test_too_few_rows_say_nothing(world: World) -> None:
    """Either fewer than the minimum, or so few that sampling alone makes for a PSI of 0.1."""
    cases = [
        (99, 100, "insufficient"),
        (100, 100, "normal"),
        # Four bins: 3 (1 / n + 1 / 1e9) stays below 0.1 from n = 31 on.
        (28, 1, "insufficient"),
        (32, 1, "normal"),
        (0, 1, "insufficient"),
    ]
    for i, (n_current, minimum, state) in enumerate(cases):
        with_reference(world, [-1.0, 0.0, 1.0], [250_000_000] * 4, minimum=minimum, version=i + 2)
        plant(world, [(-1.5, -0.5, 0.5, 1.5)[i % 4] for i in range(n_current)])
        found = features_of(measure(world.warehouse, world.close_of(80)))["return_1"]
        assert (found.state, found.n_current) == (state, n_current)
        assert (found.psi is None) == (n_current == 0)


def test_window_is_that_of_the_specification(world: World) -> None:
    register(
        world.warehouse, world.close_of(59), version=2, references=references(), drift=DriftSpec(window_days=10)
    )  # fmt: skip
    summary = measure(world.warehouse, world.close_of(80))
    assert summary.versions[0].window_days == 10
    bars = bars_in_window(world, 80, 10)
    edges, counts = references()["rsi_14"]
    values = world.features[:, bars, TECHNICAL_FEATURES.index("rsi_14")].ravel()
    assert features_of(summary)["rsi_14"].psi == pytest.approx(
        psi(np.array(edges), np.array(counts), values), rel=0, abs=1e-12
    )


def test_rows_known_later_are_not_measured(world: World) -> None:
    """A row of today that was computed from a bar published tomorrow."""
    before = features_of(measure(world.warehouse, world.close_of(80)))["return_1"]
    world.owner(
        "UPDATE features.technical SET known_at = as_of + interval '1 day' WHERE as_of = :as_of",
        as_of=world.close_of(80),
    )
    after = features_of(measure(world.warehouse, world.close_of(80)))["return_1"]
    assert after.n_current == before.n_current - len(TICKERS)


# Realised accuracy ---------------------------------------------------------------------------------------------------


def plant_outcomes(
    world: World, hits: int, n: int, *, ticker: str = "T0", bar: int = 80, horizon: int = 1, version: int = 1
) -> None:
    """Write `n` outcomes of a symbol that became known with bar 80 or another, `hits` of them right."""
    made_at = world.days[bar - horizon]
    facts = [
        {
            "version": version, "id": world.ids[ticker], "h": horizon, "hit": i < hits,
            "as_of": closes(made_at) - timedelta(seconds=i), "ts": opens(made_at), "known_at": world.close_of(bar),
        }
        for i in range(n)
    ]  # fmt: skip
    with world.warehouse.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO ml.predictions (model, version, symbol_id, timeframe, horizon, as_of, ts, target_ts, "
                "p10, p50, p90, direction, probability_bullish, probability_neutral, probability_bearish) VALUES "
                "('tiny', :version, :id, 'd1', :h, :as_of, :ts, :known_at, 0, 0, 0, 'BULLISH', 1, 0, 0)"
            ),
            facts,
        )
        connection.execute(
            text(
                "INSERT INTO ml.outcomes (model, version, symbol_id, timeframe, horizon, as_of, ts, actual, "
                "actual_direction, error, naive_error, hit, covered, confidence, quantiles_below, known_at, "
                "recorded_at) VALUES "
                "('tiny', :version, :id, 'd1', :h, :as_of, :ts, 0, 'NEUTRAL', 0, 0, :hit, true, 0.5, 1, :known_at, "
                "now())"
            ),
            facts,
        )


def symbol(summary: DriftSummary, ticker: str = "T0") -> SymbolDrift:
    return next(each for each in summary.versions[0].symbols if each.ticker == ticker)


@pytest.mark.parametrize(
    ("baseline", "states"),
    [
        # By hits of 100. A boundary belongs to the milder state that is not normal.
        (0.55, {55: "normal", 51: "normal", 50: "monitor", 40: "monitor", 39: "alert", 30: "alert", 29: "emergency"}),
        (0.60, {56: "normal", 55: "monitor", 45: "monitor", 44: "alert", 35: "alert", 34: "emergency", 0: "emergency"}),
    ],
)
def test_states_of_accuracy(warehouse: Warehouse, baseline: float, states: dict[int, str]) -> None:
    world = World(warehouse, tickers=tuple(f"T{hits}" for hits in states)).build()
    register(warehouse, world.close_of(59), references=references(), accuracy=dict.fromkeys(HORIZONS, baseline))
    for hits in states:
        plant_outcomes(world, hits, 100, ticker=f"T{hits}")
    summary = measure(warehouse, world.close_of(80))
    for hits, state in states.items():
        found = symbol(summary, f"T{hits}")
        assert (found.accuracy, found.n_predictions, found.state) == (hits / 100, 100, state)
        assert found.drift_margin == pytest.approx(hits / 100 - baseline, abs=1e-12)
    assert all(row.drift_detected == (row.state in {"alert", "emergency"}) for row in world.rows(SYMBOL_ROWS))


def test_baseline_is_averaged_over_the_same_predictions(warehouse: Warehouse) -> None:
    world = World(warehouse, tickers=("T0",)).build()
    register(warehouse, world.close_of(59), references=references(), accuracy={1: 0.4, 5: 0.7, 10: 0.1, 20: 0.1})
    plant_outcomes(world, 10, 30, horizon=1)
    plant_outcomes(world, 10, 10, horizon=5)
    found = symbol(measure(warehouse, world.close_of(80)))
    assert found.accuracy == 0.5
    assert found.baseline_accuracy == pytest.approx((30 * 0.4 + 10 * 0.7) / 40, abs=1e-15)


@pytest.mark.parametrize(("n", "state"), [(19, "insufficient"), (20, "emergency")])
def test_fewer_predictions_than_the_minimum_say_nothing(world: World, n: int, state: str) -> None:
    plant_outcomes(world, 0, n)
    found = symbol(measure(world.warehouse, world.close_of(80)))
    assert (found.n_predictions, found.accuracy, found.state) == (n, 0, state)


def test_symbol_without_outcomes_is_shown_as_insufficient(world: World) -> None:
    forecast(world.warehouse, world.close_of(80))
    found = symbol(measure(world.warehouse, world.close_of(80)))
    assert (found.n_predictions, found.accuracy, found.drift_margin, found.state) == (0, None, None, "insufficient")
    assert found.baseline_accuracy == pytest.approx(0.4)


def test_outcomes_known_later_or_before_the_window_do_not_count(world: World) -> None:
    plant_outcomes(world, 25, 25, bar=80)
    plant_outcomes(world, 0, 30, bar=81)
    plant_outcomes(world, 0, 30, bar=80 - 22)
    assert symbol(measure(world.warehouse, world.close_of(80))).n_predictions == 25
    assert symbol(measure(world.warehouse, world.close_of(81))).n_predictions == 55


def test_accuracy_equals_a_count_by_hand(world: World) -> None:
    for bar in range(60, 90):
        forecast(world.warehouse, world.close_of(bar))
    resolve(world.warehouse, world.close_of(99))
    summary = measure(world.warehouse, world.close_of(90))
    window = (world.close_of(90) - timedelta(days=30), world.close_of(90))
    rows = [
        row
        for row in world.rows(
            "SELECT p.symbol_id, p.direction, h.came, h.known_at FROM ml.predictions p "
            "JOIN labels.forward l USING (symbol_id, timeframe, ts) "
            "JOIN unnest(l.horizons, l.forward_returns, l.known_ats) AS h (horizon, came, known_at) USING (horizon) "
            "WHERE h.known_at IS NOT NULL"
        )
        if window[0] < row.known_at <= window[1]
    ]
    assert rows
    for ticker, symbol_id in world.ids.items():
        mine = [row.direction == direction(row.came) for row in rows if row.symbol_id == symbol_id]
        found = symbol(summary, ticker)
        assert (found.n_predictions, found.accuracy) == (len(mine), sum(mine) / len(mine))


# Runs ----------------------------------------------------------------------------------------------------------------


def test_second_run_changes_nothing(world: World) -> None:
    plant_outcomes(world, 25, 30)
    first = measure(world.warehouse, world.close_of(80))
    before = world.rows(FEATURE_ROWS), world.rows(SYMBOL_ROWS)
    assert measure(world.warehouse, world.close_of(80)) == first
    assert (world.rows(FEATURE_ROWS), world.rows(SYMBOL_ROWS)) == before
    assert {row.day for row in before[0]} == {row.day for row in before[1]} == {world.days[80]}


def test_later_run_of_the_same_day_replaces_and_of_another_adds(world: World) -> None:
    plant_outcomes(world, 25, 30)
    measure(world.warehouse, world.close_of(80) - timedelta(hours=1))
    measure(world.warehouse, world.close_of(80))
    assert [(row.day, row.n_predictions) for row in world.rows(SYMBOL_ROWS)] == [(world.days[80], 30)]
    measure(world.warehouse, world.close_of(81))
    assert [row.day for row in world.rows(SYMBOL_ROWS)] == world.days[80:82]
    assert len(world.rows(FEATURE_ROWS)) == 2 * (len(TECHNICAL_FEATURES) + len(HORIZONS))


def test_no_production_model(warehouse: Warehouse) -> None:
    with pytest.raises(NoProductionModelError, match="forecastle train"):
        measure(warehouse, World(warehouse).build().close_of(80))


def test_version_without_references_is_named(warehouse: Warehouse) -> None:
    world = World(warehouse).build()
    register(warehouse, world.close_of(59))
    with pytest.raises(DriftError, match="tiny v1 has no reference"):
        measure(warehouse, world.close_of(80))
