"""Which column holds what: recognised, mapped, or refused with what to do."""

import pytest

from mlops.exceptions import SourceError
from mlops.sources import BARS, EARNINGS
from mlops.sources.layout import assign_columns

NEEDED = ["symbol", "date", "open", "high", "low", "close"]


def assigned(found: list[str], mapping: dict[str, str] | None = None, **constants: str) -> dict[str, str]:
    columns = assign_columns(found, BARS, mapping or {}, constants, "f.csv")
    return {name: found[position] for name, position in columns.items()}


@pytest.mark.parametrize(
    "found",
    [
        ["symbol", "date", "open", "high", "low", "close", "volume", "adj_close", "known_at"],
        ["Ticker", "Date", "Open", "High", "Low", "Close", "Volume", "Adj Close", "Known At"],
        ["SYM", "Timestamp", "O", "H", "L", "C", "Vol", "Adjusted_Close", "known-at"],
        ["instrument", "DateTime", "Open Price", "HIGH", " low ", "close_price", "V", "adjclose", "KNOWN_AT"],
    ],
)
def test_names_that_files_use_are_recognised(found: list[str]) -> None:
    assert assigned(found) == dict(
        zip(["symbol", "ts", "open", "high", "low", "close", "volume", "adj_close", "known_at"], found, strict=True)
    )


def test_other_columns_are_left_alone() -> None:
    assert "Dividends" not in assigned([*NEEDED, "Dividends", "spread"]).values()


def test_the_user_names_a_column() -> None:
    found = ["symbol", "date", "open", "high", "low", "Last", "close"]
    assert assigned(found, {"close": "last"})["close"] == "Last"
    assert assigned(found, {"Adj Close": "close", "close": "Last"})["adj_close"] == "close"


def test_one_symbol_needs_no_column() -> None:
    assert "symbol" not in assigned(NEEDED[1:], symbol="AAPL")


def test_a_missing_column_is_named_with_those_that_are_there() -> None:
    with pytest.raises(SourceError) as caught:
        assigned(["symbol", "date", "open", "high", "low", "Last"])
    assert str(caught.value) == (
        "f.csv has no column for close. It has: 'symbol', 'date', 'open', 'high', 'low', 'Last'.\n"
        "Name it with --map close=NAME."
    )
    assert caught.value.about["missing"] == ["close"]


def test_a_missing_symbol_may_be_said_for_the_whole_file() -> None:
    with pytest.raises(SourceError, match="For a file of one symbol give --symbol"):
        assigned(NEEDED[1:])


def test_two_columns_for_one_field_are_refused() -> None:
    with pytest.raises(SourceError, match=r"more than one column for ts: 'date' and 'time'. Say which: --map ts=NAME"):
        assigned([*NEEDED, "time"])
    assert assigned([*NEEDED, "time"], {"date": "time"})["ts"] == "time"


@pytest.mark.parametrize(
    ("mapping", "message"),
    [({"close": "Lst"}, "has no column 'Lst'"), ({"clsoe": "close"}, "There is no field 'clsoe' in bars")],
)
def test_a_wrong_mapping_is_refused(mapping: dict[str, str], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        assigned(NEEDED, mapping)


def test_earnings_have_fields_of_their_own() -> None:
    found = ["symbol", "date", "qtr", "eps_est", "eps", "release_time"]
    assert assign_columns(found, EARNINGS, {}, {}, "f.csv") == {
        "symbol": 0, "date": 1, "quarter": 2, "eps_estimate": 3, "eps_actual": 4, "release": 5,
    }  # fmt: skip
