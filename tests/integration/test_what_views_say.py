"""What each of the analyst's views says, held against the tables, numpy and rules of its own."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
from forty_days import FORECAST, Market
from sqlalchemy import text
from technical import HORIZONS


def test_ml_forecasts_is_the_newest_of_production(market: Market) -> None:
    every = market.read("SELECT * FROM model_predictions WHERE (model, version) IN (('tiny', 2), ('other', 3))")
    newest: dict[tuple[int, int], Any] = {}
    for row in sorted(every, key=lambda row: (row.as_of, row.model == "tiny")):  # the older of the two models
        newest[(row.symbol_id, row.horizon)] = row
    found = {(row.symbol_id, row.horizon): row for row in market.read("SELECT * FROM ml_forecasts")}
    assert len(found) == 5 * len(HORIZONS)
    assert {key: tuple(row)[: len(FORECAST.split())] for key, row in found.items()} == {
        key: tuple(row)[: len(FORECAST.split())] for key, row in newest.items()
    }
    assert {row.model for row in found.values()} == {"tiny"}
    assert {(row.situation, row.candidate) for row in found.values()} == {("normal", "linear")}


def test_model_predictions_has_the_outcome_once_it_is_there(market: Market) -> None:
    rows = market.read("SELECT * FROM model_predictions")
    assert {row.actual is None for row in rows} == {True, False}
    for row in rows:
        assert (row.actual is None) == (row.error is None) == (row.resolved_at is None)
        if row.actual is not None:
            assert row.error == row.p50 - row.actual


def test_forecast_accuracy_equals_numpy(market: Market) -> None:
    resolved = [row for row in market.read("SELECT * FROM model_predictions") if row.actual is not None]
    found = market.read("SELECT * FROM forecast_accuracy")
    days = {(row.model, row.version, row.horizon, row.known_at.date()) for row in resolved}
    assert {(row.model, row.version, row.horizon, row.day) for row in found} == days
    assert len(found) == 3 * len(days)
    for row in found:
        inside = [
            each
            for each in resolved
            if (each.model, each.version, each.horizon) == (row.model, row.version, row.horizon)
            and row.day - timedelta(days=row.window_days) < each.known_at.date() <= row.day
        ]
        errors = np.array([each.p50 - each.actual for each in inside])
        actual = np.array([each.actual for each in inside])
        hits = [each.direction == each.actual_direction for each in inside]
        covered = [each.p10 <= each.actual <= each.p90 for each in inside]
        majority = [each.actual_direction == "BULLISH" for each in inside]
        expected = (
            np.abs(errors).mean(), np.abs(actual).mean(), 1 - np.abs(errors).mean() / np.abs(actual).mean(),
            np.mean(hits), np.mean(covered), np.mean(majority),
        )  # fmt: skip
        assert row.n == len(inside)
        np.testing.assert_allclose(
            (row.mae, row.naive_mae, row.skill, row.directional_accuracy, row.coverage_80, row.majority_accuracy),
            expected, rtol=1e-12, atol=1e-15,
        )  # fmt: skip


def test_consensus_is_that_of_the_versions_that_forecast(market: Market) -> None:
    found = market.read("SELECT * FROM forecast_consensus")
    said: dict[tuple[Any, ...], list[Any]] = {}
    every = "SELECT * FROM model_predictions WHERE (model, version) IN (('tiny', 2), ('other', 3), ('tiny', 5))"
    for row in market.read(every):
        said.setdefault((row.symbol_id, row.timeframe, row.horizon, row.as_of), []).append(row)
    assert {(row.symbol_id, row.timeframe, row.horizon, row.as_of) for row in found} == set(said)
    assert {row.n_models for row in found} == {2, 3}
    assert {row.agreement for row in found} >= {0.5, 1.0}
    for row in found:
        models = said[(row.symbol_id, row.timeframe, row.horizon, row.as_of)]
        names = ("BULLISH", "NEUTRAL", "BEARISH")
        means = [np.mean([getattr(each, f"probability_{name.lower()}") for each in models]) for name in names]
        direction = names[int(np.argmax(means))]
        assert row.direction == direction
        assert row.agreement == sum(each.direction == direction for each in models) / len(models)
        medians = [each.p50 for each in models]
        np.testing.assert_allclose(
            (row.p50_mean, row.p50_lowest, row.p50_highest, *means),
            (np.mean(medians), min(medians), max(medians), row.probability_bullish, row.probability_neutral,
             row.probability_bearish),
            rtol=1e-12,
        )  # fmt: skip


def test_hit_covered_and_confidence_say_how_a_forecast_went(market: Market) -> None:
    rows = market.read("SELECT * FROM model_predictions")
    assert {row.hit for row in rows} == {row.covered for row in rows} == {True, False, None}
    for row in rows:
        assert row.confidence == getattr(row, f"probability_{row.direction.lower()}")
        if row.actual is None:
            assert row.hit is row.covered is None
        else:
            assert row.hit == (row.direction == row.actual_direction)
            assert row.covered == (row.p10 <= row.actual <= row.p90)


def test_calibration_equals_numpy(market: Market) -> None:
    expected: dict[tuple[Any, ...], tuple[float, float, int]] = {}
    groups: dict[tuple[Any, ...], list[Any]] = {}
    for row in market.read("SELECT * FROM model_predictions WHERE actual IS NOT NULL"):
        groups.setdefault((row.model, row.version, row.timeframe, row.horizon), []).append(row)
    for key, rows in groups.items():
        actual = np.array([row.actual for row in rows])
        for name, stated in (("p10", 0.1), ("p50", 0.5), ("p90", 0.9)):
            quantile = np.array([getattr(row, name) for row in rows])
            expected[(*key, "quantile", stated)] = (stated, float(np.mean(actual <= quantile)), len(rows))
        confidence = np.array([row.confidence for row in rows])
        hit = np.array([row.hit for row in rows])
        tenths = np.digitize(confidence, np.arange(1, 10) / 10)
        for tenth in np.unique(tenths):
            inside = tenths == tenth
            expected[(*key, "probability", tenth / 10)] = (
                float(confidence[inside].mean()), float(hit[inside].mean()), int(inside.sum()),
            )  # fmt: skip
    found = {}
    for row in market.read("SELECT * FROM calibration"):
        key = (row.model, row.version, row.timeframe, row.horizon)
        found[(*key, row.what, row.stated if row.tenth is None else row.tenth)] = (row.stated, row.observed, row.n)
    assert set(found) == set(expected)
    assert len({key[-1] for key in found if key[-2] == "probability"}) > 2
    for key, values in expected.items():
        np.testing.assert_allclose(found[key], values, rtol=1e-12)


def test_bars_and_earnings_are_what_came_in(market: Market) -> None:
    bars = market.read(
        "SELECT ticker, timeframe, ts, open, high, low, close, adj_close, volume, known_at, recorded_at FROM bars "
        "ORDER BY symbol_id, ts"
    )
    assert bars == market.read(
        "SELECT s.ticker, timeframe, ts, open, high, low, close, adj_close, volume, b.known_at, b.recorded_at "
        "FROM market.bars AS b JOIN market.symbols AS s ON s.id = b.symbol_id ORDER BY symbol_id, ts",
        role=None,
    )
    earnings = market.read("SELECT * FROM earnings ORDER BY ticker")
    assert [tuple(row)[1:7] for row in earnings] == [
        ("AAPL", date(2012, 10, 25), "2012Q4", 8.75, 8.67, "post"),
        ("IBM", date(2012, 10, 16), "2012Q3", 3.61, 3.62, "post"),
    ]
    assert all(row.ts <= row.known_at < row.recorded_at for row in earnings)


def test_rejects_say_what_from_where_and_why(market: Market) -> None:
    (row,) = market.read("SELECT * FROM rejects WHERE kind = 'earnings'")
    assert (row.line, row.reason) == (4, "date is no date")
    assert row.file.endswith("earnings.csv")
    assert row.content["symbol"] == "IBM"


def test_model_history_has_every_move(market: Market) -> None:
    moves = market.read("SELECT * FROM model_history ORDER BY move_id")
    assert [(row.model, row.alias, row.from_version, row.to_version, row.reason) for row in moves] == [
        ("tiny", "production", None, 1, "planted"), ("tiny", "production", 1, 2, "planted"),
        ("other", "production", None, 3, "planted"), ("other", "staging", None, 4, "planted"),
        ("tiny", "challenger", None, 5, "planted"),
    ]  # fmt: skip
    assert [row.moved_on_at for row in moves] == [moves[1].moved_at, None, None, None, None]
    assert all(row.moved_by for row in moves)


def test_schedule_has_the_newest_crontab(market: Market) -> None:
    (row,) = market.read("SELECT * FROM schedule")
    assert (row.job, row.crontab, row.last_due_at, row.not_succeeded) == ("daily", "30 22 * * 1-5", None, 0)
    assert row.last_succeeded_for.isoformat() == "2024-01-01T00:00:00+00:00"


def test_registry_names_the_stage(market: Market) -> None:
    stages = {(row.model, row.version): row.stage for row in market.read("SELECT * FROM model_registry")}
    assert stages == {
        ("tiny", 1): None,
        ("tiny", 2): "production",
        ("other", 3): "production",
        ("other", 4): "staging",
        ("tiny", 5): "challenger",
    }


def test_status_of_a_symbol_is_that_of_its_newest_bar_and_run(market: Market) -> None:
    """Its gate was closed in the newest run; the forecasts from before that stand."""
    rows = market.read("SELECT * FROM symbol_status ORDER BY ticker")
    assert [row.ticker for row in rows] == ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
    newest = market.read("SELECT max(ts) AS ts, max(known_at) AS known_at FROM bars")[0]
    for row in rows:
        assert (row.timeframe, row.newest_bar, row.newest_known_at) == ("d1", newest.ts, newest.known_at)
        assert (row.refused, row.refused_as_of, row.forecast_as_of) == ("gate", newest.known_at, newest.known_at)
        assert row.quarantined_since is None
        assert (
            row.sessions_behind
            == market.read(
                "SELECT count(*) AS n FROM sessions WHERE exchange = 'XNYS' AND opens_at > :ts AND closes_at <= now()",
                ts=newest.ts,
            )[0].n
        )


def test_role_is_that_of_the_run_that_made_a_forecast(market: Market) -> None:
    roles = market.read("SELECT DISTINCT model, version, role FROM model_predictions")
    assert {tuple(row) for row in roles} == {
        ("tiny", 1, "production"), ("tiny", 2, "production"), ("other", 3, "production"), ("tiny", 5, "challenger"),
    }  # fmt: skip


def test_models_name_who_answers(market: Market) -> None:
    rows = market.read("SELECT * FROM models ORDER BY model")
    assert [(row.model, row.candidates, row.production_version, row.challengers, row.universe) for row in rows] == [
        ("other", ["linear"], 3, None, {}),
        ("tiny", ["linear", "shadow"], 2, [5], {}),
    ]


def test_a_run_that_was_refused_says_for_whom_and_why(market: Market) -> None:
    runs = market.read("SELECT * FROM forecast_runs WHERE status = 'refused' ORDER BY version")
    assert [(row.version, row.role, row.n_refused) for row in runs] == [
        (2, "production", 5), (3, "production", 5), (5, "challenger", 5),
    ]  # fmt: skip
    assert all(row.error.startswith("The gate is closed for d1") for row in runs)
    rows = market.read("SELECT reason, count(*) AS n FROM refusals GROUP BY reason")
    assert [(row.reason, row.n) for row in rows] == [("gate", 5 * (4 + 2 + 4))]


def test_training_runs_name_the_version_that_came_of_them(market: Market) -> None:
    rows = market.read("SELECT * FROM training_runs")
    assert sorted((row.status, row.version) for row in rows if row.version) == [
        ("succeeded", i) for i in (1, 2, 3, 4, 5)
    ]
    assert [(row.status, row.version, row.error) for row in rows if not row.version] == [
        ("blocked", None, "the gate is closed")
    ]


def test_on_the_day_of_the_change_the_version_measured_last_speaks(market: Market) -> None:
    """Both were measured; the second one had no outcomes yet."""
    days = market.read(
        "SELECT day, count(DISTINCT version) AS n FROM monitoring.drift WHERE model = 'tiny' GROUP BY day", None
    )
    day = next(row.day for row in days if row.n == 2)
    rows = market.read("SELECT * FROM drift_monitoring WHERE model = 'tiny' AND date = :day", day=day)
    assert len(rows) == 5
    assert {row.version for row in rows} == {2}


def test_alerts_are_what_stands_now(market: Market) -> None:
    alerts = market.read("SELECT * FROM alerts")
    of = {kind: {row.subject: row for row in alerts if row.kind == kind} for kind in {row.kind for row in alerts}}
    assert set(of) == {"accuracy", "feature drift", "check", "job"}
    assert {subject: row.state for subject, row in of["check"].items()} == {
        "d1: 10_market, complete": "failed", "h1: 20_features, no NULL": "failed",
        "d1: training_set, no leak": "failed",
    }  # fmt: skip
    assert "3 rows of market.bars" in of["check"]["d1: 10_market, complete"].message
    assert {subject: (row.state, row.message[-9:]) for subject, row in of["job"].items()} == {
        "daily": ("failed", "disk full")
    }
    newest = market.read("SELECT * FROM drift_monitoring WHERE date = (SELECT max(date) FROM drift_monitoring)")
    assert {(row.subject, row.state) for row in of["accuracy"].values()} == {
        (f"{row.model} v{row.version}, {row.ticker} d1", row.state) for row in newest if row.drift_detected
    }
    moved = market.read("SELECT * FROM feature_drift WHERE day = (SELECT max(day) FROM feature_drift)")
    assert set(of["feature drift"]) == {
        f"{row.model} v{row.version}, {row.feature}" for row in moved if row.state == "alert"
    }
    assert of["feature drift"]


def test_one_symbol_is_looked_up_by_key(market: Market) -> None:
    """However many forecasts there are, no relation of them is read from end to end."""
    with market.warehouse.begin(role=None) as connection:
        connection.execute(text("SET LOCAL search_path = analytics, public"))
        plan = connection.execute(
            text("EXPLAIN SELECT * FROM ml_forecasts WHERE symbol_id = (SELECT id FROM symbols WHERE ticker = 'AAPL')")
        ).scalars()
        lines = list(plan)
    on_chunks = [line for line in lines if " on _hyper_" in line]
    assert on_chunks
    assert [line for line in on_chunks if "Index" not in line] == []
