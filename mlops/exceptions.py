"""Every error that a person may meet, in one place.

The docstring of a class is its default message: one or two lines that say what is wrong and what to do. What an
error is about (an id, a file, a run) is kept as an attribute, so that a program need not read the text.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from mlops.printable import printable_lines


class ForecastleError(Exception):
    """Something went wrong. Run the command again with --debug to see where."""

    def __init__(self, message: str | None = None, **about: object) -> None:
        """Take a message (the class's docstring where none is given) and keep `about` as attributes.

        A message quotes files and databases, and is printed and logged: what cannot be printed becomes its escape.
        """
        super().__init__(printable_lines(message or (type(self).__doc__ or "").strip()))
        self.about = about
        for name, value in about.items():
            setattr(self, name, value)


class SettingsError(ForecastleError):
    """A setting cannot be used. `docs/reference/settings.md` lists what each one takes."""


class TimeframeError(ForecastleError):
    """There is no such timeframe. `SELECT * FROM timeframes` lists those that there are."""


class SpecError(ForecastleError):
    """A model specification cannot be used. `specs/` holds one that can."""


class WarehouseError(ForecastleError):
    """The database did not do what was asked. `forecastle db up` starts the embedded one."""


class WarehouseUnreachableError(WarehouseError):
    """No database answers. Start the embedded one with `forecastle db up`, or check FORECASTLE_DATABASE_URL."""


class DataRefusedError(WarehouseError):
    """The database cannot hold what it was given."""


class NotMigratedError(WarehouseError):
    """The database lacks Forecastle's tables. Run `forecastle db migrate`."""


class LockTimeoutError(WarehouseError):
    """Somebody else is at the same work and does not end. Wait for it, or end it, and run the command again."""

    holder: str = "another process"


class EmbeddedServerError(WarehouseError):
    """The embedded TimescaleDB cannot run. Its log says more; FORECASTLE_DATABASE_URL names another server."""


class SourceError(ForecastleError):
    """The source of market data cannot be used; nothing was taken in."""


class SourcePackageMissingError(SourceError):
    """The package that this source needs is not installed. Install the extra that the source's documentation names."""


class SourceOfflineError(SourceError):
    """The source does not answer. Check the network and run the command again; nothing was taken in."""


class SourceThrottledError(SourceError):
    """The source refuses more requests for now. Wait some minutes and run the command again; nothing was taken in."""


class UnknownTickerError(SourceError):
    """The source does not know the symbol. Check its spelling at the source; nothing was taken in."""


class FeaturesError(ForecastleError):
    """dbt could not build the features; the tables are as they were. Run `dbt build` in dbt_project/ to see why."""

    @classmethod
    def no_such_set(cls, kind: Literal["feature", "label"], name: str, there: Iterable[str]) -> FeaturesError:
        """Return the error for a feature set or label set that is not built; `there` are those that are."""
        names = ", ".join(there)
        return cls(
            f"There is no {kind} set {name!r} in the warehouse. "
            f"{f'There are: {names}.' if names else 'There are none yet.'} Build what the project defines: "
            "`forecastle features build`.",
            name=name,
        )


class ChecksError(ForecastleError):
    """The checks could not be run."""


class GateClosedError(ChecksError):
    """The data failed its checks and may not be used. `SELECT * FROM data_quality WHERE NOT success` lists them."""

    findings: Any = None
    """What was found (`mlops.checks.CheckFindings`), where it was the checks that raised it."""


class DatasetError(ForecastleError):
    """No training set can be made from the warehouse. Ingest more bars and run `forecastle features build`."""


class TrainingError(ForecastleError):
    """The model could not be trained."""


class ScoringError(ForecastleError):
    """The model cannot score these rows."""


class RegistryError(ForecastleError):
    """The registry refused."""


class ParityError(RegistryError):
    """The exported model forecasts otherwise than the trained one, so it was not registered."""


class ArtifactCorruptError(RegistryError):
    """The bytes of a model are not those that were registered. Restore ml.artifacts from a backup."""


class NoProductionModelError(RegistryError):
    """There is no production model. Train one: `forecastle train stocks_d1/gbm`."""

    def __init__(self, model: str | None = None) -> None:
        """Take the model that was asked for, None for whichever there is."""
        message = f"No version of {model} is in production. `forecastle models list` shows what there is to promote."
        super().__init__(message if model else None, model=model)


class ForecastingError(ForecastleError):
    """No forecast could be made."""


class OutcomesError(ForecastleError):
    """The outcomes could not be filled in."""


class DriftError(ForecastleError):
    """Drift could not be measured."""


class JobError(ForecastleError):
    """The job could not be run."""


class FilesRefusedError(JobError):
    """Some files of the inbox were refused; the others were taken in."""


class JobBusyError(JobError):
    """The same job is running already. Wait for it to end."""
