"""What a candidate is to be: the types of a specification, one TOML file each; `mlops.training.specs` reads it.

A spec is data: it can be stored beside the version that came of it and be run again. Each number has bounds: a slip of
the keyboard is refused when the file is read, and not by a training that never ends.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, field_validator, model_validator


class Section(BaseModel):
    """One table of a specification: no key that it does not know, no value of another type, no infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class SplitSpec(Section):
    """How the dates are shared out: fractions of all dates, in the order of time."""

    train: float = Field(0.70, gt=0, lt=1, description="Share of the dates to train on.")
    validation: float = Field(
        0.15, gt=0, lt=1, description="Share of the dates after them, to choose by; the rest is the test part."
    )
    embargo: int = Field(
        5, ge=0, le=10_000, description="Dates left out after each boundary, beside the purge of the longest horizon."
    )

    @model_validator(mode="after")
    def _leaves_a_test_part(self) -> Self:
        if self.train + self.validation >= 1:
            raise ValueError("train and validation together should be less than 1, to leave a test part")
        return self


class UniverseSpec(Section):
    """Which symbols a model is for: those for which all that is said here holds; all symbols where nothing is."""

    asset_class: Literal["equity", "index", "fx", "crypto"] | None = Field(None, description="Their asset class.")
    exchange: str | None = Field(None, min_length=1, max_length=63, description="Where they trade, such as XNYS.")
    list: str | None = Field(
        None,
        min_length=1,
        max_length=63,
        description="A list in `market.universes`: those that are on it at the moment of a row or a forecast.",
    )
    minimum_bars: int | None = Field(
        None, gt=0, le=10_000_000, description="Bars of the timeframe that a symbol has to have when it is asked for."
    )


class PromotionSpec(Section):
    """Which alias a new version gets: staging waits, challenger forecasts in the shadow, production in earnest."""

    first: Literal["production", "staging", "challenger"] = Field(
        "staging",
        description="That of the candidate's first version. `production` holds as long as no version of the model was "
        "ever in production; after that it is that of `later`.",
    )
    later: Literal["staging", "challenger"] = Field("staging", description="That of the versions after it.")


class DriftSpec(Section):
    """Over what drift is measured."""

    window_days: int = Field(
        30, gt=0, le=3650, description="Trailing days of realised accuracy and of current feature values."
    )
    minimum_predictions: int = Field(
        20, gt=0, le=10_000_000, description="Resolved forecasts in the window, below which nothing is said."
    )


NAME = "[a-z][a-z0-9_]*"
"""The pattern of the name of a model, and of a candidate."""


class Spec(Section):
    """One candidate, declared; which hyperparameters there are depends on the family."""

    model: str = Field(
        pattern=f"^{NAME}$",
        max_length=63,
        description="The question that it answers: small letters, digits and underscores. Timeframe, label set, "
        "horizons and universe are those of the model, the same in all its candidates.",
    )
    candidate: str = Field(
        pattern=f"^{NAME}$", max_length=63, description="Which of the model's candidates it is: letters as for `model`."
    )
    family: str = Field(max_length=63, description="How it learns.")
    timeframe: str = Field(
        pattern=f"^{NAME}$",
        max_length=20,
        description="The bars that it looks at and forecasts: a row of `market.timeframes`.",
    )
    feature_set: str = Field(
        pattern=f"^{NAME}$", max_length=63, description="The features that it reads: a set in `features.catalog`."
    )
    label_set: str = Field(
        "forward",
        pattern=f"^{NAME}$",
        max_length=63,
        description="What it forecasts: a set in `labels.catalog`. `forward` is the return over the bars ahead.",
    )
    # TOML and JSON have lists only
    horizons: tuple[int, ...] = Field(
        min_length=1,
        max_length=20,
        strict=False,
        description="How many bars ahead it forecasts, ascending: a choice of those of its timeframe.",
    )
    seed: int = Field(ge=0, lt=2**32, description="Of whatever is drawn at random.")
    universe: UniverseSpec = UniverseSpec()
    split: SplitSpec = SplitSpec()
    hyperparameters: SerializeAsAny[Section]
    promotion: PromotionSpec = PromotionSpec()
    drift: DriftSpec = DriftSpec()

    @property
    def name(self) -> str:
        """The candidate as commands take it: `stocks_d1/gbm`."""
        return f"{self.model}/{self.candidate}"

    @field_validator("horizons")
    @classmethod
    def _are_horizons(cls, horizons: tuple[int, ...]) -> tuple[int, ...]:
        if horizons[0] < 1 or list(horizons) != sorted(set(horizons)):
            raise ValueError("they should be numbers of bars, ascending")
        return horizons
