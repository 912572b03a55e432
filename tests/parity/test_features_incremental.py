"""An incremental build equals a full one, and touches only what new and corrected bars reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import bars as market
import numpy as np
import pandas as pd
import psycopg
import pytest
import technical_oracle as oracle
from test_features_oracle import random_walk

from mlops.domain import HORIZONS
from mlops.exceptions import FeaturesError
from mlops.features import BuildResult, build
from mlops.warehouse import Warehouse

Keys = set[tuple[str, pd.Timestamp]]
RETURNS = [f"forward_return_{h}" for h in HORIZONS]


class World:
    """A database with bars that change, and what each build touched."""

    def __init__(self, url: str, bars: pd.DataFrame) -> None:
        self.url = url
        self.warehouse = Warehouse(url)
        self.bars = bars.iloc[:0]
        self.add(bars)
        self.build()

    def add(self, bars: pd.DataFrame) -> None:
        """Let bars come in, new ones or other versions of those there are."""
        market.put(self.url, bars)
        both = bars if self.bars.empty else pd.concat([self.bars, bars])
        self.bars = both.drop_duplicates(["ticker", "timeframe", "ts"], keep="last").sort_values(["ticker", "ts"])

    def of(self, ticker: str) -> pd.DataFrame:
        return self.bars[self.bars.ticker == ticker].reset_index(drop=True)

    def build(self, **options: bool) -> BuildResult:
        return build(self.warehouse, **options)

    def versions(self, relation: str) -> pd.Series:
        """Return which transaction wrote each row."""
        with psycopg.connect(self.url) as connection:
            rows = connection.execute(
                f"SELECT ticker, ts, t.xmin::text FROM {relation} t JOIN market.symbols ON id = symbol_id"
            ).fetchall()
        return pd.Series({(ticker, pd.Timestamp(ts)): xmin for ticker, ts, xmin in rows}, dtype=object)

    def touched_by(self, bars: pd.DataFrame) -> tuple[Keys, Keys, BuildResult]:
        """Let bars come in, build, and return the rows of features and of labels that were written."""
        self.add(bars)
        before = {relation: self.versions(relation) for relation in ("features.technical", "labels.forward")}
        result = self.build()
        touched = []
        for relation, old in before.items():
            new = self.versions(relation)
            assert set(old.index) <= set(new.index)
            changed = {key for key in new.index if old.get(key) != new[key]}
            assert result.model(relation).rows == len(changed)
            touched.append(changed)
        return touched[0], touched[1], result

    def check(self) -> None:
        """Both tables equal the oracle, and a full rebuild changes nothing in them."""
        kept = {relation: market.table(self.url, relation) for relation in ("features.technical", "labels.forward")}
        features, labels = kept.values()
        assert oracle.differences(features, oracle.of_all(self.bars, oracle.features)).empty
        assert oracle.differences(labels, oracle.of_all(self.bars, oracle.labels)[RETURNS]).empty
        self.build(full_refresh=True)
        for relation, table in kept.items():
            pd.testing.assert_frame_equal(table, market.table(self.url, relation), rtol=1e-6, atol=1e-9)


def keys(bars: pd.DataFrame) -> Keys:
    return set(zip(bars.ticker, bars.ts, strict=True))


def next_bars(bars: pd.DataFrame, n: int = 1) -> pd.DataFrame:
    """Return n more bars of a series: those it has, a day further on each, the prices a little other."""
    more = bars[-n:].copy()
    more["ts"] += pd.Timedelta(days=n)
    more["known_at"] += pd.Timedelta(days=n)
    more[market.PRICES] *= 1.003
    return more


def corrected(bar: pd.DataFrame) -> pd.DataFrame:
    return bar.assign(close=bar[["low", "high"]].mean(axis=1))


@pytest.fixture(scope="module")
def world(cloned: Callable[..., str]) -> Iterator[World]:
    bars = pd.concat([random_walk(11, 400, "OLD"), random_walk(12, 400, "QUIET"), random_walk(13, 49, "YOUNG")])
    world = World(cloned(), bars)
    yield world
    world.warehouse.close()


def test_nothing_new_touches_nothing(world: World) -> None:
    features, labels, result = world.touched_by(world.bars[:0])
    assert (features, labels, result.rows) == (set(), set(), 0)
    world.check()


def test_a_day_more_gives_each_series_one_row(world: World) -> None:
    day = pd.concat([next_bars(world.of("OLD")), next_bars(world.of("QUIET"))])
    features, labels, _ = world.touched_by(day)
    assert features == keys(day)
    # A bar makes known the return of the bars 1, 5, 10 and 20 before it.
    expected = [world.of(ticker).iloc[[-1 - h for h in (0, *HORIZONS)]] for ticker in ("OLD", "QUIET")]
    assert labels == keys(pd.concat(expected))
    world.check()


def test_a_correction_years_ago_is_found_and_goes_on_to_the_end(world: World) -> None:
    old = world.of("OLD")
    features, labels, _ = world.touched_by(corrected(old[200:201]))
    assert features == keys(old[200:])
    assert labels == keys(old[180:201])
    world.check()


def test_a_correction_among_the_first_fifty_bars_reaches_all_rows(world: World) -> None:
    old = world.of("OLD")
    features, labels, _ = world.touched_by(corrected(old[7:8]))
    assert features == keys(old[50:])
    assert labels == keys(old[:8])
    world.check()


@pytest.mark.parametrize("place", [50, 51, 52])
def test_a_correction_where_rows_begin(world: World, place: int) -> None:
    old = world.of("OLD")
    features, _, _ = world.touched_by(corrected(old[place : place + 1]))
    assert features == keys(old[place:])
    world.check()


def test_a_missing_bar_comes_in_the_middle(world: World) -> None:
    holed = random_walk(14, 200, "HOLED").drop(index=120)
    world.add(holed)
    world.build()
    whole = random_walk(14, 200, "HOLED")
    features, labels, _ = world.touched_by(whole[120:121])
    assert features == keys(whole[120:])
    assert labels == keys(whole[100:121])
    world.check()


def test_bars_before_the_first_make_the_series_new(world: World) -> None:
    whole = random_walk(15, 160, "BACK")
    world.add(whole[30:])
    world.build()
    features, labels, _ = world.touched_by(whole[:30])
    assert features == keys(whole[50:])
    assert labels == keys(whole[:30])
    world.check()


def test_a_young_series_has_its_first_row_at_its_fifty_first_bar(world: World) -> None:
    for n in (50, 51, 52):
        features, labels, _ = world.touched_by(next_bars(world.of("YOUNG")))
        young = world.of("YOUNG")
        assert len(young) == n
        assert features == (keys(young[-1:]) if n > 50 else set())
        assert keys(young[-1:]) <= labels
    world.check()


def test_bars_that_no_row_shows_are_not_read_for_ever(world: World) -> None:
    """The newest bars belong to a series that is too short for rows: they are seen all the same."""
    world.add(random_walk(16, 10, "TINY"))
    world.build()
    assert world.build().rows == 0
    with psycopg.connect(world.url) as connection:
        seen = connection.execute("SELECT DISTINCT seen_up_to FROM features.watermarks").fetchall()
        assert seen == connection.execute("SELECT max(recorded_at) FROM market.bars").fetchall()


def test_several_changes_at_once(world: World) -> None:
    old, quiet = world.of("OLD"), world.of("QUIET")
    two = pd.concat([corrected(old[100:101]), corrected(old[300:301])])
    changes = [two, next_bars(old), next_bars(quiet, 3), random_walk(17, 90, "NEW")]
    features, labels, _ = world.touched_by(pd.concat(changes))
    assert features == keys(world.of("OLD")[100:]) | keys(changes[2]) | keys(changes[3][50:])
    assert keys(old[80:101]) | keys(old[280:301]) <= labels
    assert not keys(old[:80]) & labels
    world.check()


def test_history_adjusted_anew_is_built_anew(world: World) -> None:
    """A dividend restates the adjusted close of every bar before: ratios stay, whatever else of the row changes."""
    bars = random_walk(18, 120, "PAYER").assign(adj_close=lambda bars: bars.close)
    world.add(bars)
    world.build()
    before = market.table(world.url, "features.technical").loc["PAYER"]
    features, _, _ = world.touched_by(bars.assign(adj_close=bars.close * np.where(bars.index < 100, 0.98, 1.0)))
    assert features == keys(bars[50:])
    after = market.table(world.url, "features.technical").loc["PAYER"]
    assert after.return_1[:50].to_numpy() == pytest.approx(before.return_1[:50].to_numpy(), rel=1e-9, abs=1e-12)
    assert after.return_1.iloc[50] != pytest.approx(before.return_1.iloc[50], rel=1e-3)
    world.check()


def test_a_failed_build_loses_nothing(world: World) -> None:
    day = next_bars(world.of("QUIET"))
    world.add(day)
    before = world.versions("features.technical")
    with psycopg.connect(world.url) as connection:
        connection.execute("ALTER TABLE features.technical ADD CONSTRAINT planted CHECK (ts < '2020-06-01') NOT VALID")
    with pytest.raises(FeaturesError, match=r"could not build technical: .*planted") as caught:
        world.build()
    assert caught.value.about["model"] == "technical"
    assert "\n" not in str(caught.value)
    assert world.versions("features.technical").equals(before)
    with psycopg.connect(world.url) as connection:
        connection.execute("ALTER TABLE features.technical DROP CONSTRAINT planted")
    world.build()
    assert keys(day) <= set(world.versions("features.technical").index)
    world.check()
