"""Yahoo Finance: what comes is understood, and each way in which it fails is told apart. No test goes to the network:
what yfinance would return or raise is put in its place."""

import importlib.util
from collections.abc import Callable
from datetime import date
from typing import Any

import pandas as pd
import pytest
import yfinance
from curl_cffi.requests.exceptions import DNSError, Timeout
from yfinance import exceptions

from mlops.exceptions import (
    SourceError,
    SourceOfflineError,
    SourcePackageMissingError,
    SourceThrottledError,
    UnknownTickerError,
)
from mlops.sources import BARS, SampleSource, YahooSource

Answer = Callable[..., pd.DataFrame]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answer | Exception], list[dict[str, Any]]]:
    """Let Yahoo answer with a frame or an exception; return what it is asked."""

    def put(answer: Answer | Exception) -> list[dict[str, Any]]:
        asked: list[dict[str, Any]] = []

        def history(ticker: yfinance.Ticker, **options: Any) -> pd.DataFrame:
            asked.append(options | {"symbol": ticker.ticker, "raises": not yfinance.config.debug.hide_exceptions})
            if isinstance(answer, Exception):
                raise answer
            return answer(ticker.ticker)

        monkeypatch.setattr(yfinance.Ticker, "history", history)
        return asked

    return put


def frame(index: pd.DatetimeIndex) -> pd.DataFrame:
    columns = {"Open": 10.0, "High": 11.0, "Low": 9.0, "Close": 10.5, "Adj Close": 10.25, "Volume": 100}
    return pd.DataFrame(columns, index=index)


def test_daily_bars_belong_to_the_exchange_s_day(answers: Any) -> None:
    asked = answers(lambda _: frame(pd.date_range("2017-06-29", periods=2, tz="America/New_York", name="Date")))
    source = YahooSource(["AAPL", "MSFT"], date(2017, 6, 29), date(2017, 6, 30))
    rows = [row for batch in source.batches(BARS) for row in batch.table.to_pylist()]
    assert [(row["line"], row["symbol"], row["ts"]) for row in rows] == [
        (1, "AAPL", date(2017, 6, 29)), (2, "AAPL", date(2017, 6, 30)),
        (3, "MSFT", date(2017, 6, 29)), (4, "MSFT", date(2017, 6, 30)),
    ]  # fmt: skip
    assert (rows[0]["close"], rows[0]["adj_close"], rows[0]["volume"]) == (10.5, 10.25, 100)
    assert asked[0]["end"] == date(2017, 7, 1), "Yahoo's end is exclusive, ours is not"
    assert asked[0]["auto_adjust"] is False
    assert asked[0]["raises"], "else yfinance logs its errors and returns nothing"
    assert yfinance.config.debug.hide_exceptions, "put back as it was"


def test_weekly_bars_go_by_their_monday_and_bars_that_yahoo_does_not_have_are_refused(answers: Any) -> None:
    asked = answers(lambda _: frame(pd.date_range("2017-06-26", periods=1, tz="America/New_York", name="Date")))
    [batch] = YahooSource(["AAPL"], date(2017, 6, 1), timeframe="w1").batches(BARS)
    assert (batch.table.to_pylist()[0]["ts"], asked[0]["interval"]) == (date(2017, 6, 26), "1wk")
    with pytest.raises(SourceError, match="Yahoo Finance has no bars of h12; it has m1, m5"):
        list(YahooSource(["AAPL"], date(2017, 6, 1), timeframe="h12").batches(BARS))
    assert [YahooSource.has(timeframe) for timeframe in ("w1", "h12")] == [True, False]


def test_intraday_bars_are_in_utc(answers: Any) -> None:
    answers(lambda _: frame(pd.date_range("2017-06-30 09:30", periods=2, freq="h", tz="America/New_York")))
    (batch,) = YahooSource(["AAPL"], date(2017, 6, 30), timeframe="h1").batches(BARS)
    assert [str(moment) for moment in batch.table.column("ts").to_pylist()] == [
        "2017-06-30 13:30:00+00:00", "2017-06-30 14:30:00+00:00"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("failure", "error", "message"),
    [
        (exceptions.YFRateLimitError(), SourceThrottledError, "refuses more requests for now. Wait some minutes"),
        (exceptions.YFTzMissingError("XXQX"), UnknownTickerError, "no prices for XXQX since 2017-06-29: no timezone"),
        (exceptions.YFPricesMissingError("XXQX", ""), UnknownTickerError, "Check the symbol and the dates"),
        (DNSError("Could not resolve host"), SourceOfflineError, "does not answer .Could not resolve host"),
        (Timeout("timed out"), SourceOfflineError, "Check the network"),
        (ConnectionRefusedError("refused"), SourceOfflineError, "Check the network"),
        (KeyError("chart"), SourceError, "cannot be understood .KeyError: 'chart'"),
    ],
)
def test_failures_are_told_apart(answers: Any, failure: Exception, error: type[SourceError], message: str) -> None:
    answers(failure)
    with pytest.raises(SourceError, match=message) as caught:
        list(YahooSource(["XXQX"], date(2017, 6, 29)).batches(BARS))
    assert type(caught.value) is error
    assert caught.value.__cause__ is failure
    assert yfinance.config.debug.hide_exceptions


def test_nothing_at_all_is_an_unknown_ticker(answers: Any) -> None:
    answers(lambda _: frame(pd.DatetimeIndex([], tz="UTC")))
    with pytest.raises(UnknownTickerError):
        list(YahooSource(["XXQX"], date(2017, 6, 29)).batches(BARS))


def test_all_is_fetched_before_anything_is_taken_in(answers: Any) -> None:
    def answer(symbol: str) -> pd.DataFrame:
        if symbol == "LAST":
            raise exceptions.YFRateLimitError
        return frame(pd.date_range("2017-06-29", periods=2, tz="UTC"))

    answers(answer)
    with pytest.raises(SourceThrottledError):
        next(YahooSource(["FIRST", "LAST"], date(2017, 6, 29)).batches(BARS))


@pytest.mark.parametrize(
    ("package", "extra", "source"),
    [
        ("yfinance", "yahoo", YahooSource(["AAPL"], date(2017, 6, 29))),
        ("bokeh_sampledata", "demo", SampleSource()),
    ],
)
def test_an_absent_package_names_its_extra(
    monkeypatch: pytest.MonkeyPatch, package: str, extra: str, source: YahooSource | SampleSource
) -> None:
    for module in ("mlops.sources.yahoo", "mlops.sources.sample"):
        monkeypatch.setattr(
            f"{module}.find_spec", lambda name: None if name == package else importlib.util.find_spec(name)
        )
    with pytest.raises(SourcePackageMissingError, match=rf"pip install 'forecastle\[{extra}\]'"):
        list(source.batches(BARS))
