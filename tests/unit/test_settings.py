"""Settings that reach further than their reading: the source of the daily way, and the database's URL."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from jobs import daily
from mlops.cli.schedule import _schedule
from mlops.exceptions import SettingsError
from mlops.settings import Settings
from mlops.sources import YahooSource
from mlops.warehouse.engine import Warehouse, parse_url

AS_OF = datetime(2017, 6, 30, 22, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("tickers", "source"),
    [("AAPL, MSFT,", YahooSource(["AAPL", "MSFT"], date(2017, 6, 16), date(2017, 6, 30), "d1")), ("", None)],
)
def test_the_daily_way_fetches_what_the_setting_names(
    monkeypatch: pytest.MonkeyPatch, tickers: str, source: YahooSource | None
) -> None:
    seen: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    monkeypatch.setattr(daily, "run", lambda *args, **options: seen.append((args, options)))
    warehouse = Warehouse("postgresql://u@h/d")
    _schedule(Settings(yahoo_symbols=tickers), warehouse)[0].run(AS_OF)
    assert seen == [((warehouse, AS_OF, "d1"), {"source": source, "inbox": None})]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://u:p@127.0.0.1:notaport/db", "cannot be read"),
        ("postgresql://u:pw@SECRET@127.0.0.1:1/db", "write @ as %40"),
        ("mysql://u@h/d", "only PostgreSQL"),
    ],
)
def test_a_url_that_is_none_is_refused_without_showing_it(url: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        parse_url(url)
    assert "SECRET" not in str(caught.value)
