"""Outcomes: each forecast meets its own label, as soon as it is known and not a moment before."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from small_world import World, direction, register
from sqlalchemy import text
from technical import HORIZONS

from mlops.exceptions import OutcomesError, WarehouseError
from mlops.forecasting import forecast
from mlops.outcomes import resolve
from mlops.warehouse import Warehouse, sql

OUTCOMES = "SELECT * FROM ml.outcomes ORDER BY model, version, symbol_id, horizon, as_of"
OPEN = "SELECT * FROM ml.unresolved ORDER BY model, version, symbol_id, horizon, as_of"
JOINED = """
    SELECT * FROM ml.predictions JOIN ml.outcomes USING (model, version, symbol_id, timeframe, horizon, as_of, ts)
    ORDER BY model, version, symbol_id, horizon, as_of
"""


@pytest.fixture
def world(warehouse: Warehouse) -> World:
    """Three symbols, 100 bars, forecasts as of the 70th."""
    world = World(warehouse).build()
    register(warehouse, world.close_of(59))
    forecast(warehouse, world.close_of(70))
    return world


def test_outcome_is_the_return_that_came(world: World) -> None:
    resolve(world.warehouse, world.close_of(90))
    rows = world.rows(JOINED)
    expected = [float(world.returns[h][s, 70]) for s in range(3) for h in HORIZONS]
    assert [row.actual for row in rows] == expected
    assert [row.actual_direction for row in rows] == [direction(actual) for actual in expected]
    for row in rows:
        assert row.error == row.p50 - row.actual
        assert row.naive_error == -row.actual
        assert row.hit == (row.direction == row.actual_direction)
        assert row.covered == (row.p10 <= row.actual <= row.p90)
    assert {row.covered for row in rows} == {row.hit for row in rows} == {True, False}, "the world has both kinds"


def test_nothing_is_resolved_before_its_label_is_known(world: World) -> None:
    """The label table knows the whole future already; each outcome waits for its own moment."""
    for h in HORIZONS:
        known = world.close_of(70 + h)
        resolve(world.warehouse, known - timedelta(microseconds=1))
        assert h not in {row.horizon for row in world.rows(OUTCOMES)}
        summary = resolve(world.warehouse, known)
        assert summary.resolved == 3
        assert {row.known_at for row in world.rows(OUTCOMES) if row.horizon == h} == {known}
    assert world.rows(OPEN) == []


def test_planted_future_label_is_not_used(world: World) -> None:
    """A label that is in the table but known later than it would seem from its bar."""
    later = world.close_of(75)
    world.owner(
        "UPDATE labels.forward SET known_ats[1] = :later WHERE as_of = :as_of", later=later, as_of=world.close_of(70)
    )
    assert resolve(world.warehouse, world.close_of(74)).resolved == 0
    assert resolve(world.warehouse, later).resolved == 3 + 3  # one and five bars ahead


def test_what_waits_is_counted(world: World) -> None:
    summary = resolve(world.warehouse, world.close_of(75))
    assert (summary.resolved, summary.waiting, summary.overdue) == (6, 6, 0)
    world.owner("UPDATE labels.forward SET known_ats[3] = NULL, forward_returns[3] = NULL")
    summary = resolve(world.warehouse, world.close_of(85))
    assert (summary.resolved, summary.waiting, summary.overdue) == (0, 6, 3)


def test_second_run_changes_nothing(world: World) -> None:
    resolve(world.warehouse, world.close_of(85))
    before = world.rows(OUTCOMES)
    summary = resolve(world.warehouse, world.close_of(85))
    assert (summary.resolved, summary.corrected) == (0, 0)
    assert world.rows(OUTCOMES) == before


def test_forecast_made_later_for_an_earlier_moment_is_resolved(world: World) -> None:
    """A replay leaves no hole behind what is resolved already."""
    resolve(world.warehouse, world.close_of(95))
    forecast(world.warehouse, world.close_of(65))
    assert resolve(world.warehouse, world.close_of(95)).resolved == 12
    assert world.rows(OPEN) == []


def test_many_are_resolved_in_parts_to_the_same_outcomes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve forecasts a day in parts of twelve; the first day has nine left, a label of it is corrected."""

    def outcomes() -> dict[tuple[object, ...], object]:
        return {
            (row.symbol_id, row.horizon, row.as_of): (row.actual, row.hit, row.covered, row.known_at)
            for row in world.rows(OUTCOMES)
        }

    days = [world.close_of(day) for day in range(70, 76)]
    for day in days[1:]:
        forecast(world.warehouse, day)
    resolve(world.warehouse, world.close_of(90))
    at_once = outcomes()
    world.owner("DELETE FROM ml.outcomes")
    resolve(world.warehouse, days[1])
    correct(world, "AAPL", 0.25, datetime(2021, 7, 1, tzinfo=UTC))

    parts = sql("outcomes", "parts")
    with world.warehouse.begin() as connection:
        found = connection.execute(parts, {"as_of": world.close_of(90), "at_once": 12}).all()
    assert [tuple(part) for part in found] == [(days[0], days[1]), *((day, day) for day in days[2:])]
    monkeypatch.setattr("mlops.outcomes.outcomes._AT_ONCE", 12)
    summary = resolve(world.warehouse, world.close_of(90))

    assert (summary.resolved, summary.corrected) == (len(at_once) - 3, 1)
    in_parts = outcomes()
    assert in_parts.keys() == at_once.keys()
    assert {key for key in at_once if in_parts[key] != at_once[key]} == {(world.ids["AAPL"], 1, days[0])}


def test_each_version_has_its_own_outcome(world: World) -> None:
    register(world.warehouse, world.close_of(65), version=2)
    forecast(world.warehouse, world.close_of(70))
    assert resolve(world.warehouse, world.close_of(71)).resolved == 6
    actual = {(row.symbol_id, row.version): row.actual for row in world.rows(OUTCOMES)}
    assert all(actual[(i, 1)] == actual[(i, 2)] for i in world.ids.values())


def correct(world: World, ticker: str, new_return: float | None, recorded_at: datetime) -> None:
    """Rebuild the label of bar 70, one bar ahead, as dbt does after a correction: None leaves it as it was."""
    world.owner(
        "UPDATE labels.forward SET forward_returns[1] = coalesce(:new, forward_returns[1]), recorded_at = :recorded_at "
        "WHERE symbol_id = :id AND as_of = :as_of",
        new=new_return, recorded_at=recorded_at, id=world.ids[ticker], as_of=world.close_of(70),
    )  # fmt: skip


def test_corrected_label_corrects_the_outcome_and_no_other(world: World) -> None:
    resolve(world.warehouse, world.close_of(80))
    before = {(row.symbol_id, row.horizon): row for row in world.rows(OUTCOMES)}
    corrected_at = datetime(2021, 7, 1, tzinfo=UTC)
    correct(world, "AAPL", 0.25, corrected_at)
    correct(world, "IBM", None, corrected_at)

    summary = resolve(world.warehouse, world.close_of(80))

    assert (summary.resolved, summary.corrected) == (0, 1)
    after = {(row.symbol_id, row.horizon): row for row in world.rows(OUTCOMES)}
    changed = {key for key in before if after[key] != before[key]}
    assert changed == {(world.ids["AAPL"], 1)}
    row = next(row for row in world.rows(JOINED) if (row.symbol_id, row.horizon) == (world.ids["AAPL"], 1))
    assert (row.actual, row.actual_direction, row.naive_error) == (0.25, "BULLISH", -0.25)
    assert row.error == row.p50 - 0.25
    assert (row.hit, row.covered) == (row.direction == "BULLISH", row.p10 <= 0.25 <= row.p90)
    assert row.resolved_at > before[(row.symbol_id, 1)].resolved_at
    assert resolve(world.warehouse, world.close_of(80)).corrected == 0


def test_correction_is_not_missed_when_newer_labels_come_with_it(world: World) -> None:
    """One build brings a correction and a new label, recorded after it; both are taken in the same run."""
    resolve(world.warehouse, world.close_of(71))
    correct(world, "AAPL", 0.25, datetime(2021, 7, 1, tzinfo=UTC))
    forecast(world.warehouse, world.close_of(72))
    world.owner("UPDATE labels.forward SET recorded_at = '2021-07-02Z' WHERE as_of = :as_of", as_of=world.close_of(72))
    summary = resolve(world.warehouse, world.close_of(73))
    assert (summary.resolved, summary.corrected) == (3, 1)


def test_correction_is_not_missed_when_a_replay_comes_between(world: World) -> None:
    """A run as of an earlier moment takes newer labels in; the correction must not fall between."""
    resolve(world.warehouse, world.close_of(71))
    correct(world, "AAPL", 0.25, datetime(2021, 7, 1, tzinfo=UTC))
    forecast(world.warehouse, world.close_of(65))
    world.owner("UPDATE labels.forward SET recorded_at = '2021-07-02Z' WHERE as_of = :as_of", as_of=world.close_of(65))
    resolve(world.warehouse, world.close_of(66))
    resolve(world.warehouse, world.close_of(80))
    row = next(
        row
        for row in world.rows(JOINED)
        if (row.symbol_id, row.horizon) == (world.ids["AAPL"], 1) and row.as_of == world.close_of(70)
    )
    assert row.actual == 0.25


def test_unresolved_is_predictions_without_outcome_even_after_repairs_by_hand(world: World) -> None:
    resolve(world.warehouse, world.close_of(75))
    world.owner("DELETE FROM ml.outcomes WHERE horizon = 1")
    assert resolve(world.warehouse, world.close_of(75)).resolved == 3
    world.owner("DELETE FROM ml.predictions WHERE horizon IN (5, 10)")
    assert {row.horizon for row in world.rows(OUTCOMES)} == {1}
    assert {row.horizon for row in world.rows(OPEN)} == {20}
    forecast(world.warehouse, world.close_of(70))
    assert resolve(world.warehouse, world.close_of(75)).resolved == 3
    missing = world.rows(
        "SELECT model, version, symbol_id, timeframe, horizon, as_of FROM ml.predictions EXCEPT "
        "SELECT model, version, symbol_id, timeframe, horizon, as_of FROM ml.outcomes ORDER BY 1, 2, 3, 4, 5"
    )
    assert missing == [row[:6] for row in world.rows(OPEN)]


def totals(world: World) -> dict[tuple[object, ...], tuple[float, ...]]:
    """What ml.outcome_totals must hold, added up here from every forecast and what came of it."""
    found: dict[tuple[object, ...], list[float]] = {}
    for row in world.rows(JOINED):
        confidence = getattr(row, f"probability_{row.direction.lower()}")
        tenth = min(int(10 * confidence), 9)
        known_on = row.known_at.astimezone(UTC).date()
        total = found.setdefault((row.model, row.version, row.timeframe, row.horizon, known_on, tenth), [0.0] * 12)
        for place, added in enumerate(
            (
                1, abs(row.p50 - row.actual), abs(row.actual), row.direction == row.actual_direction,
                row.p10 <= row.actual <= row.p90, row.actual <= row.p10, row.actual <= row.p50, row.actual <= row.p90,
                row.actual_direction == "BULLISH", row.actual_direction == "NEUTRAL", row.actual_direction == "BEARISH",
                confidence,
            )
        ):  # fmt: skip
            total[place] += added
    return {key: pytest.approx(tuple(total), rel=1e-12) for key, total in found.items()}


def kept(world: World) -> dict[tuple[object, ...], tuple[float, ...]]:
    rows = world.rows("SELECT * FROM ml.outcome_totals")
    return {tuple(row[:6]): tuple(float(value) for value in row[6:]) for row in rows}


def test_totals_are_those_of_the_outcomes_whatever_is_corrected_and_deleted(world: World) -> None:
    for day in range(71, 76):
        forecast(world.warehouse, world.close_of(day))
    resolve(world.warehouse, world.close_of(80))
    first = kept(world)
    assert first == totals(world)
    assert len({key[4] for key in first}) > 5, "several days"
    assert sum(values[0] for values in first.values()) == len(world.rows(OUTCOMES))

    correct(world, "AAPL", 0.25, datetime(2021, 7, 1, tzinfo=UTC))
    assert resolve(world.warehouse, world.close_of(80)).corrected > 0
    assert kept(world) == totals(world)
    assert kept(world) != first

    world.owner("DELETE FROM ml.outcomes WHERE horizon = 1")
    assert kept(world) == totals(world)
    assert {key[3] for key in kept(world)} == {5, 10}, "nothing is left of what is gone"
    resolve(world.warehouse, world.close_of(80))
    world.owner("DELETE FROM ml.predictions WHERE as_of = :as_of", as_of=world.close_of(71))
    assert kept(world) == totals(world)

    world.owner("DELETE FROM ml.predictions")
    assert kept(world) == {}


def test_a_day_of_the_totals_is_that_of_utc(world: World) -> None:
    """Half past seven in the evening in New York is the next day in UTC, whatever the session's timezone is."""
    resolve(world.warehouse, world.close_of(75))
    world.owner("SET LOCAL timezone = 'America/New_York'; UPDATE ml.outcomes SET known_at = '2021-03-01 19:30-05'")
    assert {key[4].isoformat() for key in kept(world)} == {"2021-03-02"}


def test_predictions_are_counted(world: World) -> None:
    forecast(world.warehouse, world.close_of(71))
    columns = "model, version, timeframe, as_of"
    count = f"SELECT {columns}, count(*) FROM ml.predictions GROUP BY {columns} ORDER BY {columns}"
    counted = "SELECT * FROM ml.prediction_counts ORDER BY 1, 2, 3, 4"
    assert world.rows(counted) == world.rows(count)
    assert len(world.rows(counted)) == 2
    world.owner("DELETE FROM ml.predictions WHERE horizon = 5")
    assert world.rows(counted) == world.rows(count)
    world.owner("DELETE FROM ml.predictions WHERE as_of = :as_of", as_of=world.close_of(70))
    assert world.rows(counted) == world.rows(count)
    assert len(world.rows(counted)) == 1


def test_without_labels_it_says_how_to_build_them(warehouse: Warehouse) -> None:
    with pytest.raises(OutcomesError, match="forecastle features build"):
        resolve(warehouse, datetime(2021, 1, 1, tzinfo=UTC))


def test_worker_cannot_write_what_triggers_write(world: World) -> None:
    for statement in (
        "DELETE FROM ml.unresolved",
        "DELETE FROM ml.outcomes",
        "INSERT INTO ml.unresolved DEFAULT VALUES",
        "UPDATE ml.outcome_totals SET n = 0",
        "UPDATE ml.prediction_counts SET n = 0",
    ):
        with pytest.raises(WarehouseError, match="permission denied"), world.warehouse.begin() as connection:
            connection.execute(text(statement))


SCRIPT = """
import sys
from datetime import datetime
from mlops.outcomes import resolve
from mlops.warehouse import Warehouse
with Warehouse(sys.argv[1]) as warehouse:
    print(resolve(warehouse, datetime.fromisoformat(sys.argv[2])).resolved)
"""


def test_two_processes_at_once_resolve_once(world: World) -> None:
    with world.warehouse.lock("ml.outcomes") as held:
        assert held
        both = [
            subprocess.Popen(
                [sys.executable, "-c", SCRIPT, world.warehouse.plain_url, world.close_of(80).isoformat()],
                stdout=subprocess.PIPE, text=True,
            )
            for _ in range(2)
        ]  # fmt: skip
        world.await_lock_waiters(2)
    assert sorted(int(process.communicate(timeout=30)[0]) for process in both) == [0, 9]
    assert len(world.rows(OUTCOMES)) == 9


def test_each_version_is_judged_by_its_own_thresholds(world: World) -> None:
    """Whatever market.timeframes has by now, and a correction, too."""
    register(world.warehouse, world.close_of(65), version=2, thresholds=(10.0,) * len(HORIZONS))
    world.owner("UPDATE market.timeframes SET thresholds = '{0,0,0,0}'")
    forecast(world.warehouse, world.close_of(70))
    resolve(world.warehouse, world.close_of(90))
    directions = {(row.version, row.actual_direction == "NEUTRAL") for row in world.rows(OUTCOMES)}
    assert directions == {(1, False), (1, True), (2, True)}
    assert [row.actual_direction for row in world.rows(OUTCOMES) if row.version == 1] == [
        direction(row.actual) for row in world.rows(OUTCOMES) if row.version == 1
    ]
    correct(world, "AAPL", 0.25, datetime(2021, 7, 1, tzinfo=UTC))
    assert resolve(world.warehouse, world.close_of(90)).corrected == 2
    corrected = [row for row in world.rows(OUTCOMES) if row.actual == 0.25]
    assert [(row.version, row.actual_direction) for row in corrected] == [(1, "BULLISH"), (2, "NEUTRAL")]


def test_a_forecast_is_not_judged_by_labels_of_another_definition(world: World) -> None:
    world.owner("UPDATE labels.forward SET label_set_version = 'forward-2'")
    summary = resolve(world.warehouse, world.close_of(90))
    assert (summary.resolved, summary.waiting, summary.overdue) == (0, 12, 12)


def test_each_label_set_is_read_as_far_as_it_was_rebuilt(world: World) -> None:
    """The labels of one set were recorded after those of another, whose correction must not be missed for that."""
    world.owner("ALTER TABLE labels.forward OWNER TO forecastle_dbt")
    world.owner("CREATE TABLE labels.other AS TABLE labels.forward; GRANT ALL ON labels.other TO forecastle_dbt")
    world.owner("UPDATE labels.other SET label_set_version = 'other-1', recorded_at = '2022-01-01Z'")
    world.owner(
        'SELECT labels.publish_label_sets(\'labels\', \'[{"name": "forward", "relation": "labels.forward"}, '
        '{"name": "other", "relation": "labels.other"}]\')'
    )
    register(world.warehouse, world.close_of(65), model="second", label_set="other")
    forecast(world.warehouse, world.close_of(70))
    assert resolve(world.warehouse, world.close_of(71)).resolved == 6
    assert {row.label_set: row.seen_up_to.year for row in world.rows("SELECT * FROM ml.labels_seen")} == {
        "forward": 2021, "other": 2022,
    }  # fmt: skip
    correct(world, "AAPL", 0.25, datetime(2021, 7, 1, tzinfo=UTC))
    assert resolve(world.warehouse, world.close_of(71)).corrected == 1
    assert [row.model for row in world.rows(OUTCOMES) if row.actual == 0.25] == ["tiny"]
