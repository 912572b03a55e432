"""What a model is to be, declared in one TOML file a model.

A spec is data: it can be stored beside the version that came of it and be run again. Each number has bounds: a slip of
the keyboard is refused when the file is read, and not by a training that never ends.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mlops.domain import HORIZONS, TIMEFRAMES
from mlops.exceptions import SpecError
from mlops.printable import cut

_LARGEST_FILE = 1 << 20
"""Bytes; the specification that is shipped has two thousand."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class SplitSpec(_Part):
    """How the dates are shared out: fractions of all dates, in the order of time."""

    train: float = Field(0.70, gt=0, lt=1)
    validation: float = Field(0.15, gt=0, lt=1)
    embargo: int = Field(5, ge=0, le=10_000, description="Bars left out after each boundary, beside the purge.")

    @model_validator(mode="after")
    def _leaves_a_test_part(self) -> Self:
        if self.train + self.validation >= 1:
            raise ValueError("train and validation together leave nothing for the test part")
        return self


class Hyperparameters(_Part):
    """Hyperparameters of histogram gradient boosting, by scikit-learn's names."""

    max_iter: int = Field(60, gt=0, le=10_000)
    learning_rate: float = Field(0.03, gt=0, le=1)
    max_leaf_nodes: int = Field(4, gt=1, le=10_000)
    min_samples_leaf: int = Field(500, gt=0, le=10_000_000)
    l2_regularization: float = Field(10.0, ge=0, le=1e9)


class PromotionSpec(_Part):
    """Which alias a new version gets: the first one of a model, and later ones."""

    first: Literal["production", "staging"] = "production"
    later: Literal["staging"] = "staging"


class DriftSpec(_Part):
    """Over what drift is measured."""

    window_days: int = Field(30, gt=0, le=3650)
    minimum_predictions: int = Field(20, gt=0, le=10_000_000)


class Spec(_Part):
    """One model, declared."""

    model: str = Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=63)
    family: Literal["hist_gradient_boosting"]
    timeframe: str = Field(max_length=20)
    feature_set: Literal["technical"]
    # TOML and JSON have lists only
    horizons: tuple[int, ...] = Field(min_length=1, max_length=20, strict=False)
    seed: int = Field(ge=0, lt=2**32)
    split: SplitSpec = SplitSpec()
    hyperparameters: Hyperparameters = Hyperparameters()
    promotion: PromotionSpec = PromotionSpec()
    drift: DriftSpec = DriftSpec()

    @model_validator(mode="after")
    def _asks_for_what_there_is(self) -> Self:
        if self.timeframe not in TIMEFRAMES:
            raise ValueError(f"timeframe {self.timeframe!r} is none of {', '.join(TIMEFRAMES)}")
        if not set(self.horizons) <= set(HORIZONS) or list(self.horizons) != sorted(set(self.horizons)):
            raise ValueError(f"horizons {list(self.horizons)} are not an ascending choice of {list(HORIZONS)}")
        return self


def load(path: Path) -> Spec:
    """Read the spec at `path`. Raises SpecError that names the file and the line or key at fault."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
        if len(content) > _LARGEST_FILE:
            raise SpecError(f"{path} has more than a MiB, so it is no specification. `specs/gbm_d1.toml` is one.")
        return Spec.model_validate(tomllib.loads(content.decode("utf-8")))
    except FileNotFoundError as error:
        raise SpecError(f"There is no specification at {path}. `specs/gbm_d1.toml` is one to start from.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path} cannot be read: {error}.") from error
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = cut(".".join(str(part) for part in first["loc"]) or "the whole", 100)
        raise SpecError(f"{path}: {where}: {first['msg']}.") from error
    except RecursionError as error:
        raise SpecError(f"{path} nests its values too deep to be read. A specification has one level.") from error
    except ValueError as error:  # not TOML, or a number with thousands of digits
        raise SpecError(f"{path} is not TOML: {cut(str(error), 200)}.") from error
