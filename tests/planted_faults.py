"""One fault for each expectation: SQL that breaks the sample's data in the way that the expectation is there to see.

Run as the superuser on a database with the sample's bars, features and labels. `AS_OF` is the close of its newest bar.
For training_set the rows of a run are there, too.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import text
from technical import TECHNICAL_FEATURES

from mlops.checks.suites import ROW_COUNT, Suite
from mlops.warehouse import Warehouse

AS_OF = datetime(2013, 3, 1, 21, tzinfo=UTC)
NEWEST = "(SELECT max(ts) FROM market.bars)"
AAPL = "(SELECT id FROM market.symbols WHERE ticker = 'AAPL')"

NO_RULES = """
    DO $$
    DECLARE c record;
    BEGIN
        FOR c IN SELECT conname FROM pg_constraint WHERE conrelid = 'market.bars'::regclass AND contype = 'c' LOOP
            EXECUTE format('ALTER TABLE market.bars DROP CONSTRAINT %I', c.conname);
        END LOOP;
    END $$;
"""
_ONE_BAR = f"WHERE symbol_id = {AAPL} AND ts = {NEWEST}"
MARKET = {
    "bars_are_there": "DELETE FROM market.bars WHERE ts > TIMESTAMPTZ '2013-01-01'",
    "close_is_given": f"""
        ALTER TABLE market.bars ALTER close DROP NOT NULL;
        UPDATE market.bars SET close = NULL {_ONE_BAR}
    """,
    "known_at_is_given": f"""
        ALTER TABLE market.bars ALTER known_at DROP NOT NULL;
        UPDATE market.bars SET known_at = NULL {_ONE_BAR}
    """,
    "low_is_positive": f"{NO_RULES} UPDATE market.bars SET low = 0 {_ONE_BAR}",
    "high_is_finite": f"{NO_RULES} UPDATE market.bars SET high = 'NaN' {_ONE_BAR}",
    "volume_is_not_negative": f"{NO_RULES} UPDATE market.bars SET volume = -1 {_ONE_BAR}",
    "prices_agree": f"{NO_RULES} UPDATE market.bars SET close = high + 0.01 {_ONE_BAR}",
    "bar_is_unique": f"""
        ALTER TABLE market.bars DROP CONSTRAINT bars_pkey;
        INSERT INTO market.bars SELECT * FROM market.bars {_ONE_BAR}
    """,
    "known_after_it_opens": f"{NO_RULES} UPDATE market.bars SET known_at = ts {_ONE_BAR}",
    "known_not_before_it_closes": f"UPDATE market.bars SET known_at = known_at - INTERVAL '1 hour' {_ONE_BAR}",
    "bar_is_a_session": f"UPDATE market.bars SET ts = ts + INTERVAL '1 hour' {_ONE_BAR}",
    "no_session_is_missing_for_all": """
        DELETE FROM market.bars WHERE ts = (SELECT DISTINCT ts FROM market.bars ORDER BY ts DESC OFFSET 10 LIMIT 1)
    """,
    # A reverse split of 1:20, ten sessions ago: the history before it is as it was.
    "no_split_is_unadjusted": f"""
        UPDATE market.bars SET open = 20 * open, high = 20 * high, low = 20 * low, close = 20 * close,
            adj_close = 20 * adj_close, volume = volume / 20
        WHERE symbol_id = {AAPL} AND ts >= (
            SELECT ts FROM market.bars WHERE symbol_id = {AAPL} ORDER BY ts DESC OFFSET 10 LIMIT 1
        )
    """,
    "year_has_bars": "DELETE FROM market.bars WHERE ts > TIMESTAMPTZ '2011-01-01'",
    "year_is_complete": f"""
        DELETE FROM market.bars WHERE symbol_id = {AAPL} AND ts IN (
            SELECT ts FROM (
                SELECT ts, row_number() OVER (ORDER BY ts DESC) AS nth FROM market.bars WHERE symbol_id = {AAPL}
            ) AS numbered
            WHERE nth <= 250 AND nth % 19 = 2
        )
    """,
    "window_is_complete": f"""
        DELETE FROM market.bars WHERE symbol_id = {AAPL} AND ts IN (
            SELECT ts FROM market.bars WHERE symbol_id = {AAPL} ORDER BY ts DESC OFFSET 5 LIMIT 4
        )
    """,
    "calendar_reaches_ahead": "DELETE FROM market.sessions WHERE session > DATE '2013-03-15'",
}

_ONE_ROW = f"WHERE symbol_id = {AAPL} AND ts = (SELECT max(ts) FROM features.technical)"
FEATURES = {
    "features_are_there": "DELETE FROM features.technical WHERE ts > TIMESTAMPTZ '2013-01-01'",
    "feature_row_is_unique": f"""
        ALTER TABLE features.technical DROP CONSTRAINT technical_pkey;
        INSERT INTO features.technical SELECT * FROM features.technical {_ONE_ROW}
    """,
    "every_bar_has_its_features": f"DELETE FROM features.technical {_ONE_ROW}",
    "features_belong_to_their_bar": """
        UPDATE features.technical AS row SET return_1 = shifted.return_1, gap_1 = shifted.gap_1
        FROM (
            SELECT symbol_id, ts, lead(return_1) OVER series AS return_1, lead(gap_1) OVER series AS gap_1
            FROM features.technical WINDOW series AS (PARTITION BY symbol_id ORDER BY ts)
        ) AS shifted
        WHERE row.symbol_id = shifted.symbol_id AND row.ts = shifted.ts AND shifted.return_1 IS NOT NULL
    """,
    "known_at_covers_the_bar": f"UPDATE features.technical SET known_at = as_of - INTERVAL '1 second' {_ONE_ROW}",
    "one_feature_set": f"UPDATE features.technical SET feature_set_version = 'technical-0' {_ONE_ROW}",
    "few_features_are_missing": """
        UPDATE features.technical SET volume_zscore_20 = NULL
        WHERE ts IN (SELECT DISTINCT ts FROM features.technical ORDER BY ts DESC LIMIT 4)
    """,
    **{
        f"{name}_is_possible": f"UPDATE features.technical SET {name} = 'NaN' {_ONE_ROW}" for name in TECHNICAL_FEATURES
    },
}

_LABELS = f"""
        WHERE symbol_id = {AAPL}
            AND ts = (SELECT ts FROM labels.forward WHERE known_ats[4] <= '{AS_OF}' ORDER BY ts DESC LIMIT 1)
"""
LABELS = {
    "labels_are_there": "DELETE FROM labels.forward WHERE ts > TIMESTAMPTZ '2013-01-01'",
    "label_row_is_unique": f"""
        ALTER TABLE labels.forward DROP CONSTRAINT forward_pkey;
        INSERT INTO labels.forward SELECT * FROM labels.forward {_LABELS}
    """,
    "every_bar_has_its_labels": f"DELETE FROM labels.forward {_LABELS}",
    "horizons_are_those_of_the_timeframe": f"UPDATE labels.forward SET horizons = '{{1,5,10,21}}' {_LABELS}",
    "label_is_known_with_the_bar_that_ends_it": f"""
        UPDATE labels.forward SET known_ats[2] = known_ats[2] - INTERVAL '1 day' {_LABELS}
    """,
    "label_is_the_forward_return": f"""
        UPDATE labels.forward SET forward_returns[2] = forward_returns[2] + 1e-4 {_LABELS}
    """,
    "forward_return_is_possible": f"UPDATE labels.forward SET forward_returns[4] = -1 {_LABELS}",
    "label_is_finite": f"UPDATE labels.forward SET forward_returns[3] = 'NaN' {_LABELS}",
}

FRESHNESS = {
    "month_has_bars": "DELETE FROM market.bars WHERE ts > TIMESTAMPTZ '2013-01-01'",
    "newest_session_is_there": f"DELETE FROM market.bars WHERE ts = {NEWEST}",
}

_ROWS = "UPDATE ml.training_rows SET"
_LAST_TRAIN = "ts = (SELECT max(ts) FROM ml.training_rows WHERE split = 'train')"
_A_TRAIN_BAR = f"symbol_id = {AAPL} AND {_LAST_TRAIN}"
TRAINING_SET = {
    "rows_are_there": "DELETE FROM ml.training_rows",
    "every_part_has_rows": "DELETE FROM ml.training_rows WHERE split = 'test'",
    "row_is_unique": f"""
        ALTER TABLE ml.training_rows DROP CONSTRAINT training_rows_pkey;
        INSERT INTO ml.training_rows SELECT * FROM ml.training_rows WHERE {_A_TRAIN_BAR}
    """,
    "run_is_declared": "UPDATE ml.runs SET as_of = as_of - INTERVAL '1 day'",
    "nothing_known_after_the_run": f"""
        {_ROWS} label_known_at = TIMESTAMPTZ '{AS_OF}' + INTERVAL '1 day'
        WHERE ts = (SELECT max(ts) FROM ml.training_rows WHERE split = 'test')
    """,
    "row_is_a_bar": f"{_ROWS} as_of = as_of - INTERVAL '1 hour' WHERE {_A_TRAIN_BAR}",
    "no_feature_known_after_as_of": f"""
        UPDATE features.technical SET known_at = as_of + INTERVAL '1 day' WHERE {_A_TRAIN_BAR}
    """,
    # A corrected bar seen too early: the market knew it two days later than the rows that were computed from it.
    "no_bar_known_after_as_of": f"""
        UPDATE market.bars SET known_at = known_at + INTERVAL '2 days'
        WHERE symbol_id = {AAPL} AND ts = (
            SELECT ts FROM ml.training_rows WHERE split = 'train' AND symbol_id = {AAPL}
            ORDER BY ts DESC OFFSET 30 LIMIT 1
        )
    """,
    "features_are_complete": f"UPDATE features.technical SET rsi_14 = NULL WHERE {_A_TRAIN_BAR}",
    # rsi_14 alone shifted by one bar: no cheap comparison sees that one.
    "features_equal_a_rebuild_at_the_cutoff": """
        UPDATE features.technical AS row SET rsi_14 = shifted.rsi_14
        FROM (
            SELECT symbol_id, ts, lead(rsi_14) OVER (PARTITION BY symbol_id ORDER BY ts) AS rsi_14
            FROM features.technical
        ) AS shifted
        WHERE row.symbol_id = shifted.symbol_id AND row.ts = shifted.ts AND shifted.rsi_14 IS NOT NULL
    """,
    "labels_are_complete": f"UPDATE labels.forward SET forward_returns[3] = NULL WHERE {_A_TRAIN_BAR}",
    "label_is_known_after_as_of": f"UPDATE labels.forward SET known_ats[1] = as_of WHERE {_A_TRAIN_BAR}",
    "label_known_at_covers_all_horizons": f"""
        {_ROWS} label_known_at = label_known_at - INTERVAL '1 day' WHERE {_A_TRAIN_BAR}
    """,
    # A shuffled split: the same numbers of rows, dealt out at random.
    "parts_are_chronological": """
        UPDATE ml.training_rows AS row SET split = dealt.split
        FROM (
            SELECT ordered.symbol_id, ordered.ts, shuffled.split
            FROM (
                SELECT symbol_id, ts, row_number() OVER (ORDER BY ts, symbol_id) AS nth
                FROM ml.training_rows WHERE split IN ('train', 'validation', 'test')
            ) AS ordered
            JOIN (
                SELECT split, row_number() OVER (ORDER BY md5(symbol_id || '/' || ts)) AS nth
                FROM ml.training_rows WHERE split IN ('train', 'validation', 'test')
            ) AS shuffled USING (nth)
        ) AS dealt
        WHERE row.symbol_id = dealt.symbol_id AND row.ts = dealt.ts
    """,
    "no_date_in_two_parts": f"""
        {_ROWS} split = 'test'
        WHERE symbol_id = {AAPL} AND ts = (SELECT max(ts) FROM ml.training_rows WHERE split = 'validation')
    """,
    # No purge: the labels of these rows end in validation.
    "no_label_reaches_into_a_later_part": f"""
        {_ROWS} split = 'train'
        WHERE split = 'purged' AND ts < (SELECT min(ts) FROM ml.training_rows WHERE split = 'validation')
    """,
    # No embargo before test.
    "embargo_is_kept": f"""
        {_ROWS} split = 'test'
        WHERE split = 'embargoed' AND ts > (SELECT max(ts) FROM ml.training_rows WHERE split = 'validation')
    """,
}

FAULTS = {
    "market": MARKET,
    "features": FEATURES,
    "labels": LABELS,
    "freshness": FRESHNESS,
    "training_set": TRAINING_SET,
}
"""SQL of the fault by suite and expectation."""


def id_of(warehouse: Warehouse, ticker: str) -> int:
    """Return the symbol's id."""
    with warehouse.begin(role=None) as connection:
        found: int = connection.execute(
            text("SELECT id FROM market.symbols WHERE ticker = :ticker"), {"ticker": ticker}
        ).scalar_one()
    return found


def narrowed(suite: Suite, name: str) -> Suite:
    """Return the suite with one expectation alone, and the row count of its batch."""
    (wanted,) = (each for each in suite.expectations if each.name == name)
    kept = [each for each in suite.expectations if each.type == ROW_COUNT or each is wanted]
    return Suite(**{**suite.model_dump(), "expectations": [each.model_dump() for each in kept]})
