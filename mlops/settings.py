"""What a user may set, read from `FORECASTLE_*` environment variables each time it is asked for.

There is no settings object at module level: whoever needs one calls `load` and hands it on.
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from mlops.exceptions import SettingsError


def default_home() -> Path:
    """Return the folder for the embedded server: the user's cache folder, or the system's for root.

    root's own folder cannot be entered by the unprivileged user that the server has to run as.
    """
    if os.geteuid() == 0:
        return Path("/var/cache/forecastle")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "forecastle"


class Settings(BaseSettings):
    """All settings, one attribute each; the environment variable is the name in capitals after `FORECASTLE_`."""

    model_config = SettingsConfigDict(env_prefix="FORECASTLE_", extra="ignore", frozen=True)

    database_url: str | None = Field(
        default=None,
        description="PostgreSQL URL of the warehouse. Without it the embedded TimescaleDB is used.",
    )
    home: Path = Field(
        default_factory=default_home,
        description="Folder of the embedded TimescaleDB: programs, data, password.",
    )
    inbox: Path | None = Field(
        default=None,
        description="Folder that the daily job watches for files of bars (bars_d1_*.csv or .parquet).",
    )
    yahoo_symbols: str = Field(
        default="",
        description="Tickers, separated by commas, whose newest bars the daily job fetches from Yahoo Finance.",
    )
    spec: Path = Field(
        default=Path("specs/gbm_d1.toml"),
        description="Model specification that the monthly retrain uses.",
    )
    daily_at: str = Field(
        default="30 22 * * mon-fri",
        description="When the daily way runs: a crontab expression, UTC.",
    )
    retrain_at: str = Field(
        default="0 3 1 * *",
        description="When the monthly retrain runs: a crontab expression, UTC.",
    )


def load() -> Settings:
    """Return the settings as the environment has them now. Raises SettingsError naming the variable at fault."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "FORECASTLE_" + "_".join(str(part) for part in first["loc"]).upper()
        raise SettingsError(
            f"{name} cannot be used: {first['msg']}. docs/reference/settings.md says what it takes."
        ) from error
