"""The suites as they are written in `expectations/*.yaml`: read, checked, and handed on as plain objects.

A suite has batches (the rows that are looked at: a relation and a condition) and expectations on them. The types and
their arguments are those of Great Expectations; SQL may use the `:names` of `mlops.checks.parameters`.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mlops.exceptions import ChecksError
from mlops.warehouse.feature_sets import Feature, FeatureSet
from mlops.warehouse.label_sets import LabelSet

SQL = "unexpected_rows_expectation"
"""The type of an expectation that is a query of the rows at fault."""

ROW_COUNT = "expect_table_row_count_to_be_between"
"""The type of an expectation that counts the rows of its batch; each batch must have one."""

_FINITE = {"min_value": -1e300, "max_value": 1e300}
"""The bounds of a feature whose contract gives none: NaN and infinity are above any bound."""

_FILE = re.compile(r"^\d\d_(?P<suite>[a-z_]+)\.yaml$")
_NAME = r"^[a-z][a-z0-9_]*$"


class _Entry(BaseModel):
    """Some keys of a suite's file, and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Batch(_Entry):
    """The rows that an expectation looks at."""

    relation: str = Field(pattern=r"^([a-z_]+\.[a-z_]+|:(feature|label)_relation)$")
    where: str = Field(min_length=1)
    key: tuple[str, ...] = Field(min_length=1, description="Columns that name a row of it.")
    one: tuple[str, ...] = Field(default=(), description="Columns of which it has one value.")

    @property
    def query(self) -> str:
        """The SQL that selects the rows, its `:names` still in it."""
        return f"SELECT * FROM {self.relation} WHERE {self.where}"  # noqa: S608 - text of our own suites


class Suspects(_Entry):
    """A query of the symbols that may have failing rows: of all others it has shown that they have none.

    It compares whole series, as arrays, which is several times as fast as row by row; an expectation then looks at the
    rows of these symbols alone. Where it fails, all symbols are suspects.
    """

    about: str = Field(min_length=20)
    batch: str
    query: str = Field(min_length=1)


class Expectation(_Entry):
    """One thing that must hold, and why it is there."""

    name: str = Field(pattern=_NAME)
    batch: str
    type: str = Field(pattern=r"^(expect_[a-z0-9_]+|unexpected_rows_expectation)$")
    kwargs: dict[str, Any]
    why: str = Field(min_length=20)
    suspects: str | None = Field(default=None, description="The query of the symbols that may have failing rows.")
    each: Literal["feature"] | None = Field(
        default=None, description="Whether it is asked of each feature by itself, within the bounds of its contract."
    )
    feature_set: str | None = Field(default=None, description="The one feature set of which it is asked.")
    label_set: str | None = Field(default=None, description="The one label set of which it is asked.")
    quarantines: bool = Field(
        default=False,
        description="Whether it fails for single symbols, which its rows name by `symbol_id`.",
    )


class Suite(_Entry):
    """What is expected of one stage of the data."""

    suite: str = Field(pattern=_NAME)
    about: str = Field(min_length=20)
    each: Literal["feature_set", "label_set"] | None = Field(
        default=None, description="Whether all of it is asked of each feature set, or each label set, by itself."
    )
    batches: dict[str, Batch] = Field(min_length=1)
    suspects: dict[str, Suspects] = Field(default_factory=dict)
    expectations: tuple[Expectation, ...] = Field(min_length=1)

    @property
    def is_of_features(self) -> bool:
        """Whether its SQL names the feature set that it is asked of."""
        return ":feature_" in self.model_dump_json()

    @property
    def is_of_labels(self) -> bool:
        """Whether its SQL names the label set that it is asked of."""
        return ":label_" in self.model_dump_json()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        twice = [name for name, n in Counter(each.name for each in self.expectations).items() if n > 1]
        if twice:
            raise ValueError(f"two expectations are called {twice[0]}")
        for each in self.expectations:
            if each.batch not in self.batches:
                raise ValueError(f"{each.name}: there is no batch {each.batch!r}")
            if each.suspects is not None and each.suspects not in self.suspects:
                raise ValueError(f"{each.name}: there is no query {each.suspects!r} among the suspects")
            if (each.suspects is None) == (":suspects" in str(each.kwargs)):
                raise ValueError(f"{each.name}: its SQL names :suspects where it says which they are, and only there")
        for label in self.batches:
            if not any(each.type == ROW_COUNT and each.batch == label for each in self.expectations):
                raise ValueError(f"batch {label} has no {ROW_COUNT}, so it would pass with nothing in it")
        return self


def expected_of(suite: Suite, feature_set: FeatureSet | None, label_set: LabelSet | None) -> Suite:
    """Return what `suite` expects of the two sets: of each feature of the one, where an expectation is of each."""
    expectations: list[Expectation] = []
    for each in suite.expectations:
        if feature_set is not None and each.feature_set not in (None, feature_set.name):
            continue
        if label_set is not None and each.label_set not in (None, label_set.name):
            continue
        if each.each is None or feature_set is None:
            expectations.append(each)
        else:
            expectations.extend(_of_feature(each, feature) for feature in feature_set.features)
    asked = {each.suspects for each in expectations}
    suspects = {name: found for name, found in suite.suspects.items() if name in asked}
    return suite.model_copy(update={"expectations": tuple(expectations), "suspects": suspects})


def _of_feature(expectation: Expectation, feature: Feature) -> Expectation:
    bounds = {
        "min_value": feature.at_least if feature.above is None else feature.above,
        "strict_min": None if feature.above is None else True,
        "max_value": feature.at_most,
    }
    given = {name: value for name, value in bounds.items() if value is not None}
    return expectation.model_copy(
        update={
            "name": f"{feature.name}_{expectation.name}",
            "each": None,
            "kwargs": {"column": feature.name, **_FINITE, **given},
            "why": feature.why or expectation.why,
        }
    )


@cache
def names() -> tuple[str, ...]:
    """Return the names of all suites, in the order of the data."""
    return tuple(_found())


@cache
def load(name: str) -> Suite:
    """Return the suite `name`. Raises ChecksError where there is none, or where its file cannot be used."""
    file = _found().get(name)
    if file is None:
        raise ChecksError(f"There is no suite {name!r}. There are: {', '.join(names())}.")
    return parse(file.read_text(encoding="utf-8"), file.name)


def parse(text: str, where: str) -> Suite:
    """Return the suite that `text` (YAML, from the file `where`) describes. Raises ChecksError naming what is wrong."""
    import yaml

    try:
        suite = Suite.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise ChecksError(f"{where} is not YAML: {' '.join(str(error).split())}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise ChecksError(f"{where}: {path}: {first['msg']}.") from error
    return suite


def _found() -> dict[str, Traversable]:
    """Return the file of each suite by its name; the numbers in front of the names give the order."""
    found = {}
    for file in sorted(files("expectations").iterdir(), key=lambda entry: entry.name):
        match = _FILE.match(file.name)
        if match:
            found[match["suite"]] = file
    return found
