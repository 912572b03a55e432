"""What a user may set, read from `FORECASTLE_*` environment variables each time it is asked for.

There is no settings object at module level: whoever needs one calls `load` and hands it on.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from mlops.exceptions import SettingsError


def default_home() -> Path:
    """Return the folder for the embedded server: in the user's data folder, or in the system's for root.

    root's own folder cannot be entered by the unprivileged user that the server has to run as. XDG_DATA_HOME counts
    only where it is absolute, as its specification says. Raises SettingsError where the user has no home folder.
    """
    from platformdirs import site_state_path, user_data_path

    if os.geteuid() == 0:
        return site_state_path("forecastle")
    try:
        return user_data_path("forecastle")
    except RuntimeError as error:
        raise SettingsError(
            "This user has no home folder, so FORECASTLE_HOME must say where the embedded TimescaleDB may live."
        ) from error


def earlier_home() -> Path | None:
    """Return the folder that `default_home` gave in earlier versions: in the cache folder. None for a user without."""
    from platformdirs import site_cache_path, user_cache_path

    if os.geteuid() == 0:
        return site_cache_path("forecastle")
    try:
        return user_cache_path("forecastle")
    except RuntimeError:
        return None


def _without_tilde(path: Path) -> Path:
    """Return `path` with a leading ~ replaced by the home folder: who sets a variable in a file has no shell do it."""
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError("it names a home folder that there is not") from error


_PREFIX = "FORECASTLE_"

_ALIKE = 0.8
"""Two names that are as alike as that, 0 to 1, are one and a slip of it."""

PathSetting = Annotated[Path, AfterValidator(_without_tilde)]


def listed(given: str) -> list[str]:
    """Return the words of a setting that has several, separated by commas."""
    return [word.strip() for word in given.split(",") if word.strip()]


def _names_without_tilde(given: str) -> str:
    return ", ".join(str(_without_tilde(Path(name))) for name in listed(given))


NamesOrPaths = Annotated[str, AfterValidator(_names_without_tilde)]


class Settings(BaseSettings):
    """All settings, one attribute each; the environment variable is the name in capitals after `FORECASTLE_`.

    A variable that is empty or blank counts as not set: an empty path would be the current folder.
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, extra="ignore", frozen=True)

    database_url: str | None = Field(
        default=None,
        description="PostgreSQL URL of the warehouse. Without it the embedded TimescaleDB is used.",
    )
    home: PathSetting = Field(
        default_factory=default_home,
        description="Folder of the embedded TimescaleDB: programs, data, password.",
    )
    inbox: PathSetting | None = Field(
        default=None,
        description="Folder from which the daily job takes bars_d1_*.csv, .csv.gz or .parquet, and earnings_* and "
        "universes_*; other files in it are left alone.",
    )
    inbox_timezone: str | None = Field(
        default=None,
        description="Timezone of times without an offset in the inbox's files, such as America/New_York.",
    )
    inbox_exchange: str | None = Field(
        default=None,
        description="Where the symbols of the inbox's files trade, such as XNYS or 24/5; by the asset class unless "
        "set. A file with a symbol that the warehouse has elsewhere is refused.",
    )
    inbox_asset_class: str | None = Field(
        default=None,
        description="Asset class of the symbols of the inbox's files: equity, index, fx or crypto; by the exchange, or "
        "equity, unless set.",
    )
    fetch: str = Field(
        default="",
        description="Sources from which the daily job fetches the newest bars, separated by semicolons, each with the "
        "symbols to ask it for: `yahoo: AAPL MSFT; other: EURUSD`. `ingest bars --help` says which there are.",
    )
    yahoo_symbols: str = Field(
        default="",
        description="Tickers, separated by commas, whose newest bars the daily job fetches from Yahoo Finance: "
        "short for `yahoo:` in FORECASTLE_FETCH.",
    )
    spec: NamesOrPaths = Field(
        default="stocks_d1/gbm",
        description="Specifications that the monthly retrain trains, by name or file, separated by commas.",
    )
    daily_at: str = Field(
        default="30 22 * * mon-fri",
        description="When the daily job runs: a crontab expression, UTC.",
    )
    retrain_at: str = Field(
        default="0 3 1 * *",
        description="When the monthly retrain runs: a crontab expression, UTC.",
    )

    @model_validator(mode="before")
    @classmethod
    def _leave_out_what_is_blank(cls, given: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in given.items() if not (isinstance(value, str) and not value.strip())}


def load() -> Settings:
    """Return the settings as the environment has them now.

    Raises SettingsError naming the variable at fault, also one whose name is misspelt: what it says would be ignored.
    """
    _refuse_misspelt(os.environ)
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = _PREFIX + "_".join(str(part) for part in first["loc"]).upper()
        raise SettingsError(
            f"{name} cannot be used: {first['msg']}. docs/reference/settings.md says what it takes."
        ) from error


def _refuse_misspelt(environment: Mapping[str, str]) -> None:
    known = [name.upper() for name in Settings.model_fields]
    for name in sorted(environment):
        given = name.removeprefix(_PREFIX)
        if name.startswith(_PREFIX) and given not in known:
            from difflib import get_close_matches

            meant = get_close_matches(given, known, n=1, cutoff=_ALIKE)
            if meant:
                raise SettingsError(f"There is no setting {name}. Did you mean {_PREFIX}{meant[0]}?")
