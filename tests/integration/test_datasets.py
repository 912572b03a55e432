"""The training set of real prices, against the same rules written in pandas."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import text
from synthetic import spec
from technical import HORIZONS, TECHNICAL_FEATURES

from mlops.datasets import Materialised, clear, fingerprint, materialise, read_matrix
from mlops.exceptions import DatasetError
from mlops.features import build
from mlops.modelling import Matrix, Subset
from mlops.sources import SampleSource, ingest_bars
from mlops.spec import Spec
from mlops.training import train
from mlops.warehouse import Warehouse

LATE = datetime(2013, 6, 1, tzinfo=UTC)
ALL = spec(horizons=(1, 5, 10, 20), split={"train": 0.7, "validation": 0.15, "embargo": 5})


def filled(warehouse: Warehouse, wanted: Spec = ALL, as_of: datetime = LATE) -> tuple[UUID, Materialised]:
    run_id = uuid4()
    with warehouse.begin() as connection:
        return run_id, materialise(connection, run_id, wanted, as_of)


def matrix_of(warehouse: Warehouse, wanted: Spec = ALL, as_of: datetime = LATE) -> Matrix:
    run_id, chosen = filled(warehouse, wanted, as_of)
    with warehouse.begin() as connection:
        return read_matrix(connection, run_id, wanted.horizons, chosen)


def frame(warehouse: Warehouse, query: str, **parameters: object) -> pd.DataFrame:
    with warehouse.begin() as connection:
        return pd.read_sql(text(query), connection, params=parameters)


def rows_of(warehouse: Warehouse, run_id: UUID) -> pd.DataFrame:
    return frame(warehouse, "SELECT * FROM ml.training_rows WHERE run_id = :run_id", run_id=run_id)


def change(warehouse: Warehouse, statement: str, **parameters: object) -> int:
    with warehouse.begin(role=None) as connection:
        return connection.execute(text(statement), parameters).rowcount


def by_pandas(warehouse: Warehouse, as_of: datetime, longest: int, embargo: int) -> pd.DataFrame:
    """The rules of mlops/datasets/split.py, from the definition."""
    both = frame(
        warehouse,
        f"SELECT f.*, l.known_at_{longest} AS label_known_at "
        "FROM features.technical f LEFT JOIN analytics.label_history l USING (symbol_id, timeframe, ts)",
    )
    both = both[both.as_of <= as_of]
    usable = both.dropna(subset=list(TECHNICAL_FEATURES))
    usable = usable[(usable.label_known_at <= as_of) & (usable.known_at <= usable.as_of)].copy()
    usable["date"] = usable.as_of.dt.tz_convert("UTC").dt.normalize()
    dates = sorted(usable.date.unique())
    first, second = round(0.7 * len(dates)), round(0.85 * len(dates))
    position = usable.date.map({date: i for i, date in enumerate(dates)})
    usable["split"] = np.select([position < first, position < second], ["train", "validation"], "test")
    for subset, boundary in (("train", dates[first]), ("validation", dates[second])):
        usable.loc[(usable.split == subset) & (usable.label_known_at >= boundary), "split"] = "purged"
    for boundary in (first, second):
        usable.loc[position.between(boundary, boundary + embargo - 1), "split"] = "embargoed"
    return usable


@pytest.mark.parametrize("as_of", [LATE, datetime(2009, 3, 9, 23, tzinfo=UTC)])
def test_rows_and_parts_are_those_of_the_definition(featured: Warehouse, as_of: datetime) -> None:
    run_id, chosen = filled(featured, ALL, as_of)
    key = ["symbol_id", "timeframe", "ts"]
    ours = rows_of(featured, run_id).set_index(key).sort_index()
    expected = by_pandas(featured, as_of, 20, 5).set_index(key).sort_index()
    assert len(ours) > 5000
    pd.testing.assert_series_equal(ours.split, expected.split, check_dtype=False)
    pd.testing.assert_series_equal(ours.label_known_at, expected.label_known_at, check_dtype=False)
    assert chosen.rows == {**dict.fromkeys((*Subset, "purged", "embargoed"), 0), **ours.split.value_counts().to_dict()}
    assert chosen.data_to == ours.label_known_at.max() <= as_of


def test_no_part_sees_another(featured: Warehouse) -> None:
    run_id, _ = filled(featured)
    rows = rows_of(featured, run_id)
    subset = {name: rows[rows.split == name] for name in Subset}
    for earlier, later in ((Subset.TRAIN, Subset.VALIDATION), (Subset.VALIDATION, Subset.TEST)):
        assert subset[earlier].as_of.max() < subset[later].as_of.min()
        assert subset[earlier].label_known_at.max() < subset[later].as_of.min()
        embargoed = rows[(rows.as_of > subset[earlier].label_known_at.max()) & (rows.as_of < subset[later].as_of.min())]
        assert set(embargoed.split) <= {"embargoed", "purged"}
        assert embargoed[embargoed.split == "embargoed"].as_of.nunique() == 5
    split_of_date = rows[rows.split.isin(list(Subset))].groupby("as_of").split.nunique()
    assert (split_of_date == 1).all()


def test_a_symbol_that_was_not_traded_is_purged_as_far_as_its_labels_reach(featured: Warehouse) -> None:
    """With three weeks missing before the boundary, labels 20 bars ahead reach further back than 20 dates."""
    _, chosen = filled(featured)
    boundary = chosen.plan.validation_from
    change(
        featured,
        "DELETE FROM features.technical WHERE symbol_id = 1 AND as_of BETWEEN :begin AND :end",
        begin=boundary - timedelta(days=25),
        end=boundary - timedelta(days=4),
    )
    change(
        featured,
        "UPDATE labels.forward SET known_ats[4] = known_ats[4] + interval '21 days' "
        "WHERE symbol_id = 1 AND as_of < :end",
        end=boundary - timedelta(days=25),
    )
    run_id, _ = filled(featured)
    rows = rows_of(featured, run_id)
    train = rows[rows.split == "train"]
    assert train.label_known_at.max() < boundary
    last = train.groupby("symbol_id").as_of.max()
    assert last[1] < last.drop(1).min() - timedelta(days=14)


def test_a_label_of_a_shorter_horizon_may_be_the_last_that_is_known(featured: Warehouse) -> None:
    """The bar five ahead became known late, when that twenty ahead was known already."""
    run_id, chosen = filled(featured)
    last = rows_of(featured, run_id).query("split == 'test' and symbol_id == 1").as_of.max()
    before = chosen.plan.validation_from - timedelta(days=35)
    for moment, late in (last, "300 days"), (before, "30 days"):
        change(
            featured,
            f"UPDATE labels.forward SET known_ats[2] = known_ats[4] + interval '{late}' "
            "WHERE symbol_id = 1 AND as_of BETWEEN :moment - interval '5 days' AND :moment",
            moment=moment,
        )
    later, after = filled(featured)
    assert after.excluded["label_unknown"] > chosen.excluded["label_unknown"]
    assert after.rows["purged"] > chosen.rows["purged"]
    rows = rows_of(featured, later)
    assert rows.label_known_at.max() <= rows_of(featured, run_id).label_known_at.max()
    assert rows[rows.split == "train"].label_known_at.max() < after.plan.validation_from


def test_the_row_of_a_bar_that_was_known_after_its_successor_is_left_out(featured: Warehouse) -> None:
    _, before = filled(featured)
    span = {"begin": datetime(2005, 1, 1, tzinfo=UTC), "end": datetime(2005, 2, 1, tzinfo=UTC)}
    n = change(
        featured,
        "UPDATE labels.forward SET known_ats[1] = as_of WHERE symbol_id = 1 AND ts > :begin AND ts < :end",
        **span,
    )
    _, after = filled(featured)
    assert after.excluded["known_late"] == n > 15
    assert sum(after.rows.values()) == sum(before.rows.values()) - n


def test_rows_that_stay_out_are_counted_by_cause(featured: Warehouse) -> None:
    _, before = filled(featured)
    assert before.excluded == {"null_feature": 0, "known_late": 0, "label_unknown": 5 * 20}
    span = {"begin": datetime(2005, 1, 1, tzinfo=UTC), "end": datetime(2005, 2, 1, tzinfo=UTC)}
    change(
        featured,
        "UPDATE features.technical SET stochastic_k_14 = NULL WHERE symbol_id = 1 AND ts > :begin AND ts < :end",
        **span,
    )
    change(
        featured,
        "UPDATE features.technical SET known_at = known_at + interval '1 hour' "
        "WHERE symbol_id IN (1, 2) AND ts > :begin AND ts < :end",
        **span,
    )
    n = len(
        frame(featured, "SELECT 1 FROM features.technical WHERE symbol_id = 1 AND ts > :begin AND ts < :end", **span)
    )
    run_id, after = filled(featured)
    assert n > 15
    assert after.excluded == {"null_feature": n, "known_late": n, "label_unknown": 5 * 20}
    assert sum(after.rows.values()) == sum(before.rows.values()) - 2 * n == len(rows_of(featured, run_id))


def test_nothing_later_than_as_of_decides_anything(featured: Warehouse) -> None:
    as_of = datetime(2009, 3, 9, 23, tzinfo=UTC)
    before = fingerprint(matrix_of(featured, as_of=as_of))
    change(featured, "DELETE FROM features.technical WHERE as_of > :as_of", as_of=as_of)
    change(
        featured,
        "UPDATE labels.forward SET forward_returns[4] = 9 WHERE known_ats[4] > :as_of",
        as_of=as_of,
    )
    assert fingerprint(matrix_of(featured, as_of=as_of)) == before


def test_the_matrix_holds_what_the_tables_hold(featured: Warehouse) -> None:
    run_id, chosen = filled(featured)
    with featured.begin() as connection:
        matrix = read_matrix(connection, run_id, ALL.horizons, chosen)
    expected = frame(
        featured,
        "SELECT r.split, s.ticker, f.*, l.* FROM ml.training_rows r "
        "JOIN features.technical f USING (symbol_id, timeframe, ts) "
        "JOIN analytics.label_history l USING (symbol_id, timeframe, ts) JOIN market.symbols s ON s.id = r.symbol_id "
        "WHERE r.run_id = :run_id AND r.split IN ('train', 'validation', 'test') ORDER BY r.as_of, s.ticker",
        run_id=run_id,
    )
    expected = expected.loc[:, ~expected.columns.duplicated()]
    assert matrix.feature_names == TECHNICAL_FEATURES
    np.testing.assert_array_equal(matrix.features, expected[list(TECHNICAL_FEATURES)].to_numpy(np.float32))
    np.testing.assert_array_equal(matrix.returns, expected[[f"forward_return_{h}" for h in HORIZONS]].to_numpy())
    code = {"BULLISH": 0, "NEUTRAL": 1, "BEARISH": 2}
    directions = expected[[f"direction_{h}" for h in HORIZONS]].map(code.__getitem__).to_numpy()
    np.testing.assert_array_equal(matrix.directions, directions)
    assert [list(Subset)[code] for code in matrix.subset] == expected.split.tolist()
    assert [matrix.symbols[place] for place in matrix.symbol] == [("XNYS", ticker) for ticker in expected.ticker]
    np.testing.assert_array_equal(
        matrix.as_of, expected.as_of.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("datetime64[us]")
    )
    assert (matrix.features.dtype, matrix.directions.dtype) == (np.float32, np.int8)
    assert len(matrix.of(Subset.TRAIN)) == chosen.rows["train"]
    assert len(matrix.of(Subset.TEST)) == chosen.rows["test"]


def test_a_model_of_some_horizons_gets_their_labels_and_newer_rows(featured: Warehouse) -> None:
    few = spec(horizons=(1, 5))
    matrix = matrix_of(featured, few)
    assert matrix.returns.shape[1] == 2
    assert matrix.as_of.max() > matrix_of(featured).as_of.max()
    at = frame(
        featured,
        "SELECT forward_return_5 FROM analytics.label_history WHERE ticker = :ticker AND as_of = :as_of",
        ticker=matrix.symbols[matrix.symbol[-1]][1],
        as_of=matrix.as_of[-1].astype("datetime64[us]").item().replace(tzinfo=UTC),
    )
    assert matrix.returns[-1, 1] == at.forward_return_5[0]


def test_the_order_in_which_symbols_came_in_makes_no_difference(featured: Warehouse, warehouse: Warehouse) -> None:
    """The other database numbers them the other way round; the trees of both are the same to the byte."""
    numbered = frame(featured, "SELECT ticker FROM market.symbols ORDER BY id").ticker
    change(
        warehouse,
        "INSERT INTO market.symbols (ticker, asset_class, exchange, timezone) "
        "SELECT ticker, 'equity', 'XNYS', 'America/New_York' FROM unnest(CAST(:tickers AS text [])) AS t (ticker)",
        tickers=numbered[::-1].tolist(),
    )
    ingest_bars(warehouse, SampleSource())
    build(warehouse)
    assert frame(warehouse, "SELECT ticker FROM market.symbols ORDER BY id").ticker.tolist() == numbered[::-1].tolist()
    here, there = matrix_of(featured), matrix_of(warehouse)
    assert fingerprint(here) == fingerprint(there)
    few = spec(max_iter=5, horizons=HORIZONS)
    assert train(few, here, "1").artifact == train(few, there, "1").artifact


def test_the_fingerprint_is_of_the_content_and_of_all_of_it(featured: Warehouse) -> None:
    first = fingerprint(matrix_of(featured))
    assert fingerprint(matrix_of(featured)) == first
    seen = {first}
    target = "symbol_id = 3 AND ts = (SELECT max(ts) FROM features.technical WHERE ts < '2008-01-01')"
    for table, setting in (
        ("features.technical", "gap_1 = gap_1 + 0.001"),
        ("labels.forward", "forward_returns[3] = forward_returns[3] + 1e-12"),
    ):
        assert change(featured, f"UPDATE {table} SET {setting} WHERE {target}") == 1
        seen.add(fingerprint(matrix_of(featured)))
    assert change(featured, "UPDATE market.timeframes SET thresholds[1] = 0.01 WHERE timeframe = 'd1'") == 1
    seen.add(fingerprint(matrix_of(featured)))
    change(featured, f"DELETE FROM features.technical WHERE {target}")
    seen.add(fingerprint(matrix_of(featured)))
    assert len(seen) == 5


def test_rows_that_a_build_rewrites_meanwhile_are_noticed(featured: Warehouse) -> None:
    run_id, chosen = filled(featured)
    change(
        featured,
        "UPDATE labels.forward SET recorded_at = clock_timestamp(), forward_returns[1] = 0 "
        "WHERE symbol_id = 1 AND ts BETWEEN '2004-03-01' AND '2004-03-03'",
    )
    with pytest.raises(DatasetError, match=r"2 of \d+ training rows were rewritten"), featured.begin() as connection:
        read_matrix(connection, run_id, ALL.horizons, chosen)


def test_features_of_two_versions_are_refused(featured: Warehouse) -> None:
    change(featured, "UPDATE features.technical SET feature_set_version = 'other' WHERE ts < '2001-01-01'")
    with pytest.raises(DatasetError, match=r"of several versions .*--full-refresh"):
        filled(featured)


def test_a_value_that_float32_cannot_hold_is_refused(featured: Warehouse) -> None:
    change(featured, "UPDATE features.technical SET rsi_14 = 1e39 WHERE symbol_id = 1 AND ts < '2001-01-01'")
    run_id, chosen = filled(featured)
    with (
        pytest.raises(DatasetError, match="too large for float32"),
        np.errstate(over="ignore"),
        featured.begin() as connection,
    ):
        read_matrix(connection, run_id, ALL.horizons, chosen)


def test_nothing_known_yet_is_refused(featured: Warehouse) -> None:
    with pytest.raises(DatasetError, match="no d1 row to train on as of 2000-01-01"):
        filled(featured, as_of=datetime(2000, 1, 1, tzinfo=UTC))


def test_a_timeframe_without_bars_is_refused(featured: Warehouse) -> None:
    with pytest.raises(DatasetError, match="no h1 row to train on"):
        filled(featured, spec(timeframe="h1"))


def test_clear_takes_away_the_rows_of_one_run(featured: Warehouse) -> None:
    one, _ = filled(featured)
    other, chosen = filled(featured)
    with featured.begin() as connection:
        clear(connection, one)
    assert len(rows_of(featured, one)) == 0
    assert len(rows_of(featured, other)) == sum(chosen.rows.values())
