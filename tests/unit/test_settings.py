"""Settings that reach further than their reading: the source of the daily job, and the database's URL."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from jobs import daily
from jobs.ingest import Fetch, Unsaid
from jobs.schedule import scheduled_jobs
from mlops.exceptions import SettingsError
from mlops.settings import Settings, default_home, earlier_home, load
from mlops.sources import SampleSource, YahooSource
from mlops.warehouse.engine import Warehouse, parse_url

AS_OF = datetime(2017, 6, 30, 22, 30, tzinfo=UTC)
FETCHED = date(2017, 6, 16), date(2017, 6, 30)


@pytest.mark.parametrize(
    ("given", "source"),
    [
        ({"yahoo_symbols": "AAPL, MSFT,"}, Fetch(YahooSource(["AAPL", "MSFT"], *FETCHED, "d1"), "d1")),
        ({"fetch": " yahoo: AAPL, MSFT ;"}, Fetch(YahooSource(["AAPL", "MSFT"], *FETCHED, "d1"), "d1")),
        ({"fetch": "yahoo:AAPL", "yahoo_symbols": "MSFT,AAPL"}, Fetch(YahooSource(["AAPL", "MSFT"], *FETCHED), "d1")),
        ({"fetch": "sample"}, Fetch(SampleSource(*FETCHED), "d1")),
        ({}, None),
    ],
)
def test_the_daily_way_fetches_what_the_settings_name(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], source: Fetch | None
) -> None:
    seen: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    monkeypatch.setattr(daily, "run", lambda *args, **options: seen.append((args, options)))
    warehouse = Warehouse("postgresql://u@h/d")
    scheduled_jobs(Settings(**given))[0].run(warehouse, AS_OF)
    sources = [] if source is None else [source]
    assert seen == [((warehouse, AS_OF, ["d1"]), {"sources": sources, "inbox": None, "unsaid": Unsaid()})]


@pytest.mark.parametrize(
    ("fetch", "message"),
    [
        ("bloomberg: AAPL", "no source is called that. There are sample, yahoo"),
        ("yahoo", "yahoo needs the symbols"),
        ("sample: AAPL", "sample is taken with all its symbols"),
    ],
)
def test_a_source_that_cannot_be_asked_so_is_refused(fetch: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        scheduled_jobs(Settings(fetch=fetch))[0].run(Warehouse("postgresql://u@h/d"), AS_OF)


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


DEFAULTS = {
    "DATABASE_URL": None,
    "INBOX": None,
    "INBOX_TIMEZONE": None,
    "INBOX_EXCHANGE": None,
    "INBOX_ASSET_CLASS": None,
    "FETCH": "",
    "YAHOO_SYMBOLS": "",
    "SPEC": "stocks_d1/gbm",
    "DAILY_AT": "30 22 * * mon-fri",
    "RETRAIN_AT": "0 3 1 * *",
}


@pytest.mark.parametrize("blank", ["", " ", "\t\n"])
@pytest.mark.parametrize("name", [*DEFAULTS, "HOME"])
def test_an_empty_variable_is_as_good_as_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, blank: str
) -> None:
    """An empty path would be the current folder: a database built there, or its files taken for an inbox."""
    for each in (*DEFAULTS, "HOME"):
        monkeypatch.delenv(f"FORECASTLE_{each}", raising=False)
    monkeypatch.setenv(f"FORECASTLE_{name}", blank)
    monkeypatch.chdir(tmp_path)
    settings = load()
    assert {each: getattr(settings, each.lower()) for each in DEFAULTS} == DEFAULTS
    assert settings.home == default_home()
    assert settings.home.is_absolute()


def test_every_setting_is_tried_with_an_empty_variable() -> None:
    assert {name.upper() for name in Settings.model_fields} == {*DEFAULTS, "HOME"}


@pytest.mark.parametrize(
    ("data", "home"), [("", "u/.local/share"), (".", "u/.local/share"), ("data", "u/.local/share"), (None, "d")]
)
def test_only_an_absolute_data_folder_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: str | None, home: str
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", str(tmp_path / "u"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "d") if data is None else data)
    assert default_home() == tmp_path / home / "forecastle"


def test_earlier_versions_kept_the_folder_in_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert earlier_home() == tmp_path / ".cache" / "forecastle"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    assert earlier_home() == tmp_path / "c" / "forecastle"


def test_roots_folders_are_those_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not below /root, which the account that the server runs under cannot enter."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert (default_home(), earlier_home()) == (Path("/var/lib/forecastle"), Path("/var/cache/forecastle"))


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 4_000_000)
    monkeypatch.setattr("os.getuid", lambda: 4_000_000)
    monkeypatch.delenv("HOME", raising=False)
    for name in ("XDG_DATA_HOME", "FORECASTLE_HOME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SettingsError, match="FORECASTLE_HOME must say where"):
        load()


@pytest.mark.parametrize("name", ["HOME", "INBOX", "SPEC"])
def test_a_tilde_is_the_home_folder_without_a_shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(f"FORECASTLE_{name}", "~/here")
    assert Path(getattr(load(), name.lower())) == tmp_path / "here"
    monkeypatch.setenv(f"FORECASTLE_{name}", "~nobody-of-that-name/here")
    with pytest.raises(SettingsError, match=f"FORECASTLE_{name} cannot be used: .*home folder that there is not"):
        load()


@pytest.mark.parametrize(
    ("name", "meant"),
    [("DATABASE_ULR", "DATABASE_URL"), ("DATABASEURL", "DATABASE_URL"), ("INBOX_TIME_ZONE", "INBOX_TIMEZONE")],
)
def test_a_misspelt_variable_is_named(monkeypatch: pytest.MonkeyPatch, name: str, meant: str) -> None:
    monkeypatch.setenv(f"FORECASTLE_{name}", "x")
    with pytest.raises(SettingsError, match=f"no setting FORECASTLE_{name}. Did you mean FORECASTLE_{meant}"):
        load()


@pytest.mark.parametrize("name", ["TEST_SERVER_URL", "DBT_HOST", "DBT_DBNAME", "PORT", "PASSWORD", "TEAM"])
def test_a_variable_of_somebody_else_is_left_alone(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"FORECASTLE_{name}", "x")
    load()
