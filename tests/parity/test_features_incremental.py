"""An incremental build equals a full one, and touches only what new and corrected bars reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import bars as market
import numpy as np
import pandas as pd
import psycopg
import pytest
import technical_oracle as oracle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from technical import HORIZONS
from test_features_oracle import random_walk

from mlops.exceptions import FeaturesError
from mlops.features import BuildResult, build
from mlops.warehouse import Warehouse, sql
from mlops.warehouse.locks import take_lock

Keys = set[tuple[str, pd.Timestamp]]
RETURNS = [f"forward_return_{h}" for h in HORIZONS]


class World:
    """A database with bars that change, and what each build touched."""

    def __init__(self, url: str, bars: pd.DataFrame) -> None:
        self.url = url
        self.warehouse = Warehouse(url)
        self.bars = bars.iloc[:0]
        self.numbers = count()
        self.computed: dict[tuple[str, int], tuple[pd.DataFrame, pd.DataFrame]] = {}
        self.add(bars)
        self.build()

    def add(self, bars: pd.DataFrame) -> None:
        """Let bars come in, new ones or other versions of those there are."""
        market.put(self.url, bars)
        both = bars if self.bars.empty else pd.concat([self.bars, bars])
        self.bars = both.drop_duplicates(["ticker", "timeframe", "ts"], keep="last").sort_values(["ticker", "ts"])

    def delete(self, bars: pd.DataFrame) -> None:
        """Let somebody delete bars, in one statement."""
        with psycopg.connect(self.url) as connection:
            connection.execute("SET ROLE forecastle_owner")
            deleted = connection.execute(
                "DELETE FROM market.bars USING market.symbols "
                "WHERE id = symbol_id AND (ticker || ' ' || extract(epoch FROM ts)::bigint) = ANY(%s)",
                ([f"{bar.ticker} {int(bar.ts.timestamp())}" for bar in bars.itertuples()],),
            )
            assert deleted.rowcount == len(bars)
        gone = pd.MultiIndex.from_frame(bars[["ticker", "ts"]])
        self.bars = self.bars[~pd.MultiIndex.from_frame(self.bars[["ticker", "ts"]]).isin(gone)]

    def bars_recorded(self) -> pd.Timestamp:
        """Return when the newest of all bars was learnt."""
        with psycopg.connect(self.url) as connection:
            row = connection.execute("SELECT max(recorded_at) FROM market.bars").fetchone()
        assert row is not None
        return pd.Timestamp(row[0])

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
        features, labels, gone, result = self.touched()
        assert not gone
        return features, labels, result

    def touched(self) -> tuple[Keys, Keys, Keys, BuildResult]:
        """Build, and return the rows of features and of labels that were written, and those of both that went."""
        before = {relation: self.versions(relation) for relation in ("features.technical", "labels.forward")}
        result = self.build()
        touched, gone = [], set()
        for relation, old in before.items():
            new = self.versions(relation)
            changed = {key for key in new.index if old.get(key) != new[key]}
            assert result.model(relation).rows == len(changed)
            touched.append(changed)
            gone |= set(old.index) - set(new.index)
        return touched[0], touched[1], gone, result

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return what builds make: features, and labels with their returns by horizon."""
        return {
            relation: market.table(self.url, relation) for relation in ("features.technical", "analytics.label_history")
        }

    def computed_for(self, ticker: str, bars: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return what the features and the labels of a series have to be; computed once for the same bars."""
        key = ticker, hash(pd.util.hash_pandas_object(bars, index=False).to_numpy().tobytes())
        if key not in self.computed:
            labels = oracle.of_all(bars, oracle.labels)
            self.computed[key] = oracle.of_all(bars, oracle.features), labels[RETURNS]
        return self.computed[key]

    def check(self) -> None:
        """Both tables equal the oracle."""
        expected = [self.computed_for(str(ticker), bars) for ticker, bars in self.bars.groupby("ticker")]
        for table, parts in zip(self.tables().values(), zip(*expected, strict=True), strict=True):
            assert oracle.differences(table, pd.concat([part for part in parts if len(part)])).empty

    def check_against_a_full_build(self) -> None:
        """Both tables equal the oracle, and a full build changes nothing in them."""
        self.check()
        kept = self.tables()
        self.build(full_refresh=True)
        for relation, table in self.tables().items():
            pd.testing.assert_frame_equal(kept[relation], table, rtol=1e-6, atol=1e-9)


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


# Bars that somebody deletes -------------------------------------------------------------------------------------------


def test_a_bar_that_is_deleted_in_the_middle_is_gone_from_all_that_it_reached(world: World) -> None:
    old = world.of("OLD")
    world.delete(old[200:201])
    features, labels, gone, _ = world.touched()
    assert gone == keys(old[200:201])
    assert features == keys(old[201:])
    assert labels == keys(old[180:200]) | keys(old[201:202])
    assert world.build().rows == 0
    world.check()


def test_the_newest_bars_are_deleted(world: World) -> None:
    quiet = world.of("QUIET")
    world.delete(quiet[-3:])
    features, labels, gone, _ = world.touched()
    assert gone == keys(quiet[-3:])
    # The bar that is the newest now was looked at again; what had reached to the three is not known any more.
    last = len(quiet) - 4
    assert features == keys(quiet[last : last + 1])
    reached = {end - h for end in range(last, len(quiet)) for h in (0, *HORIZONS)}
    assert labels == keys(quiet.iloc[sorted(place for place in reached if place <= last)])
    world.check()


@pytest.mark.parametrize("place", [0, 7, 49, 50, 51])
def test_a_deletion_among_the_first_bars_moves_where_rows_begin(world: World, place: int) -> None:
    bars = random_walk(100 + place, 80, f"BEGIN {place}")
    world.add(bars)
    world.build()
    world.delete(bars[place : place + 1])
    features, _, gone, _ = world.touched()
    assert gone == keys(bars[place : place + 1]) | (keys(bars[50:51]) if place <= 50 else set())
    assert features == keys(bars[max(51, place + 1) :])
    world.check()


def test_a_series_that_becomes_too_short_has_no_rows(world: World) -> None:
    bars = random_walk(120, 60, "SHRINKS")
    world.add(bars)
    world.build()
    world.delete(bars[20:40])
    features, _, gone, _ = world.touched()
    assert features == set()
    assert gone == keys(bars[20:40]) | keys(bars[50:])
    world.check()
    world.delete(world.of("SHRINKS"))
    assert world.touched()[2] == keys(bars[:20]) | keys(bars[40:])
    assert world.build().rows == 0
    world.check()


def test_a_bar_that_comes_back_before_the_build_was_never_away(world: World) -> None:
    old = world.of("OLD")
    world.delete(old[100:103])
    world.add(old[101:102])
    features, _, gone, _ = world.touched()
    assert gone == keys(old[100:101]) | keys(old[102:103])
    assert features == keys(old[101:102]) | keys(old[103:])
    world.add(old[100:103])
    assert keys(old[100:103]) <= world.touched()[0]
    world.check()


def test_what_is_deleted_is_kept(world: World) -> None:
    quiet = world.of("QUIET")
    world.delete(quiet[60:62])
    with psycopg.connect(world.url) as connection:
        kept = connection.execute(
            "SELECT ts, close, superseded_at FROM market.superseded_bars JOIN market.symbols ON id = symbol_id "
            "WHERE deleted AND ticker = 'QUIET' "
            "AND superseded_at = (SELECT max(superseded_at) FROM market.superseded_bars) ORDER BY ts"
        ).fetchall()
        newest = connection.execute("SELECT max(recorded_at) FROM market.bars").fetchone()
    assert [(pd.Timestamp(ts), close) for ts, close, _ in kept] == list(
        zip(quiet.ts[60:62], quiet.close[60:62], strict=True)
    )
    assert newest == (kept[0][2],)  # the bar beside is what the next build goes on from
    world.build()


def test_a_label_that_a_deletion_changed_is_newer_than_all_that_was_known(world: World) -> None:
    """By this an outcome that was read from it is brought up to date."""
    old = world.of("OLD")
    newest = world.bars_recorded()
    world.delete(old[250:251])
    world.build()
    labels = market.table(world.url, "analytics.label_history").loc[("OLD", "d1")]
    assert (labels.recorded_at[old.ts[230:250]] > newest).all()
    assert not (labels.recorded_at[old.ts[:230]] > newest).any()


def test_all_bars_are_thrown_away(cloned: Callable[..., str]) -> None:
    world = World(cloned(), random_walk(30, 70, "ALL"))
    with psycopg.connect(world.url) as connection:
        connection.execute("TRUNCATE market.bars")
    world.build()
    assert world.versions("features.technical").empty
    assert world.versions("labels.forward").empty
    with psycopg.connect(world.url) as connection:
        assert connection.execute("SELECT count(*) FROM market.superseded_bars WHERE deleted").fetchone() == (70,)
    assert world.build().rows == 0
    # Even where the clock was put back meanwhile, what comes now is after the deletion.
    with psycopg.connect(world.url) as connection:
        connection.execute("UPDATE market.superseded_bars SET superseded_at = superseded_at + INTERVAL '1 day'")
    world.build()
    with world.warehouse.begin() as connection:
        ticket = connection.execute(sql("sources", "draw_ticket")).one()
        last = connection.execute(text("SELECT max(superseded_at) FROM market.superseded_bars")).scalar_one()
    assert ticket.recorded_at > last
    world.warehouse.close()


def test_bars_are_not_deleted_behind_the_back_of_the_builds(world: World) -> None:
    with psycopg.connect(world.url) as connection:
        chunk = connection.execute("SELECT show_chunks('market.bars') LIMIT 1").fetchone()
        assert chunk is not None
        with pytest.raises(psycopg.errors.RaiseException, match="not from a chunk"):
            connection.execute(f"DELETE FROM {chunk[0]}")


def test_a_deletion_waits_for_an_ingest_and_comes_after_it(world: World) -> None:
    """The lock is the ingest's: else a build could see what is later and miss what is earlier."""
    with world.warehouse.begin() as ingest:
        take_lock(ingest, "market.bars")
        with psycopg.connect(world.url) as connection:
            connection.execute("SET lock_timeout = '200ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                connection.execute("DELETE FROM market.bars WHERE false")


SERIES = 5
STEP = st.tuples(
    st.sampled_from(["append", "correct", "delete", "delete several", "delete newest", "come back"]),
    st.floats(0, 1, exclude_max=True),
)
ROUNDS = st.lists(st.tuples(st.lists(STEP, min_size=SERIES, max_size=SERIES), st.booleans()), min_size=2, max_size=4)


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**31), rounds=ROUNDS)
def test_whatever_comes_and_goes_an_increment_equals_a_full_build(world: World, seed: int, rounds: Any) -> None:
    """Several series of 65 bars, so that all happens near where rows begin; in each round each meets something.

    After a round there is a build, or not.
    """
    walks = {f"ANY {next(world.numbers)}": seed + place for place in range(SERIES)}
    ever = {ticker: random_walk(of_its_own, 65, ticker) for ticker, of_its_own in walks.items()}
    world.add(pd.concat(ever.values()))
    world.build()
    for steps, build_now in rounds:
        for (ticker, whole), (what, share) in zip(ever.items(), steps, strict=True):
            ever[ticker] = happen(world, ticker, whole, what, share)
        if build_now:
            world.build()
    world.build()
    world.check()


def happen(world: World, ticker: str, ever: pd.DataFrame, what: str, share: float) -> pd.DataFrame:
    """Let something happen to a series, `share` of the way through it; return all bars that it ever had."""
    bars = world.of(ticker)
    at = int(share * len(bars))
    away = ever[~ever.ts.isin(bars.ts)]
    if what == "come back":
        world.add(away[int(share * len(away)) :][:2])
    elif what == "append" and len(bars):
        more = next_bars(bars[-1:])
        world.add(more)
        return pd.concat([ever[~ever.ts.isin(more.ts)], more])
    elif what == "correct":
        world.add(corrected(bars[at : at + 1]))
    elif what == "delete":
        world.delete(bars[at : at + 1])
    elif what == "delete several":
        world.delete(bars[at::3][:6])
    elif what == "delete newest":
        world.delete(bars[-2:])
    return ever


def test_after_all_of_this_a_full_build_changes_nothing(world: World) -> None:
    """What one of the tests above left wrong would still be there: none of them builds anew."""
    world.build()
    world.check_against_a_full_build()
