"""Specifications: what is shipped can be read, and what cannot be meant is refused with the key at fault."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from mlops.exceptions import SpecError
from mlops.spec import DriftSpec, Spec, SplitSpec
from mlops.training import family, find_spec, load_spec, parse_spec, shipped_specs
from mlops.training.families.hist_gradient_boosting import Hyperparameters

SPECS = Path(__file__).parents[2] / "specs"
WHOLE = """
model = "mine"
candidate = "gbm"
family = "hist_gradient_boosting"
timeframe = "d1"
feature_set = "technical"
horizons = [1, 5]
seed = 1
"""


def test_every_spec_that_is_shipped_can_be_read_and_written_again() -> None:
    names = shipped_specs()
    assert names == sorted(f"{file.parent.name}/{file.stem}" for file in SPECS.glob("*/*.toml"))
    assert "stocks_d1/gbm" in names
    for name in names:
        spec = find_spec(name)
        assert spec.name == name
        assert isinstance(spec.hyperparameters, family(spec.family).hyperparameters)
        assert parse_spec(json.loads(spec.model_dump_json())) == spec


def test_what_a_spec_leaves_out_is_what_the_shipped_one_says() -> None:
    assert find_spec("stocks_d1/gbm").hyperparameters == Hyperparameters()
    assert parse_spec(tomllib.loads(WHOLE)).hyperparameters == Hyperparameters()


IMPOSSIBLE = {
    "[hyperparameters]\nmax_iter = 1e21": "hyperparameters.max_iter: .* was given; it should be a valid integer",
    "[hyperparameters]\nmax_iter = 60.0": "hyperparameters.max_iter: .* was given; it should be a valid integer",
    "[hyperparameters]\nmax_iter = true": "hyperparameters.max_iter: .* was given; it should be a valid integer",
    '[hyperparameters]\nmax_iter = "60"': "hyperparameters.max_iter: .* was given; it should be a valid integer",
    "[hyperparameters]\nmax_iter = 10_001": "hyperparameters.max_iter: .* less than or equal to 10000",
    "[hyperparameters]\nlearning_rate = inf": "hyperparameters.learning_rate: .* it should be a finite number",
    "[hyperparameters]\nlearning_rate = nan": "hyperparameters.learning_rate: .* it should be a finite number",
    "[hyperparameters]\nlearning_rate = 3": "hyperparameters.learning_rate: .* less than or equal to 1",
    "[hyperparameters]\nmax_leaf_nodes = 999999999": "hyperparameters.max_leaf_nodes: .* less than or equal to",
    "[hyperparameters]\nmin_samples_leaf = 99999999": "hyperparameters.min_samples_leaf: .* less than or equal to",
    "[hyperparameters]\nl2_regularization = 1e300": "hyperparameters.l2_regularization: .* less than or equal to",
    "[split]\nembargo = 999999999999": "split.embargo: .* less than or equal to 10000",
    "[drift]\nwindow_days = 999999999999": "drift.window_days: .* less than or equal to 3650",
    "[drift]\nminimum_predictions = 999999999999": "drift.minimum_predictions: .* less than or equal to",
    # Keys by which tomllib or Python give up
    "[drift]\nwindow_days = " + "9" * 5000: "is not TOML: Exceeds the limit",
    "[drift]\nwindow_days = 0x" + "f" * 100_000: "drift.window_days: .* less than or equal to 3650",
    "deep = " + "[" * 100_000: "nests its values too deep",
    "x = '" + "y" * (1 << 20) + "'": "more than a MiB",
    '"' + "k" * 5000 + '" = 1': r"k{99}…: there is no such key here; there is model, candidate, family, timeframe",
    '"\\u001b[2J" = 1': r": \\x1b\[2J: there is no such key here",
}


@pytest.mark.parametrize("lines", IMPOSSIBLE, ids=lambda lines: lines[:40])
def test_what_cannot_be_meant_is_refused_by_its_key(tmp_path: Path, lines: str) -> None:
    file = tmp_path / "spec.toml"
    file.write_text(f"{WHOLE}{lines}\n")
    with pytest.raises(SpecError, match=IMPOSSIBLE[lines]) as caught:
        load_spec(file)
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


def test_all_faults_are_told_at_once_each_with_key_what_was_given_and_what_is_allowed(tmp_path: Path) -> None:
    file = tmp_path / "spec.toml"
    file.write_text(
        """
        model = "Mine!"
        candidate = "gbm"
        family = "random_forest"
        timeframe = "D2"
        feature_set = "technical"
        horizons = [5, 1]
        [hyperparameters]
        max_iter = 60
        n_estimators = 0
        [split]
        train = 0.9
        """
    )
    with pytest.raises(SpecError) as caught:
        load_spec(file)
    told = [line.removeprefix(f"{file}: ") for line in str(caught.value).splitlines()]
    assert told == [
        "model: 'Mine!' was given; String should match pattern '^[a-z][a-z0-9_]*$'.",
        "timeframe: 'D2' was given; String should match pattern '^[a-z][a-z0-9_]*$'.",
        "horizons: [5, 1] was given; they should be numbers of bars, ascending.",
        "seed: it is missing. Of whatever is drawn at random.",
        "split: train and validation together should be less than 1, to leave a test part.",
        "hyperparameters.n_estimators: 0 was given; it should be greater than 0.",
        "hyperparameters.max_iter: there is no such key here; there is n_estimators, max_leaf_nodes, min_samples_leaf, "
        "max_features, rows_a_tree.",
    ]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('family = "crystal_ball"', "'crystal_ball' was given; it should be 'hist_gradient_boosting', 'random_forest'"),
        ("family = 3", "3 was given; it should be 'hist_gradient_boosting', 'random_forest' or 'volatility_band'"),
        ("", "family: it is missing. How it learns."),
    ],
)
def test_an_unknown_family_is_refused_with_those_that_there_are(line: str, told: str) -> None:
    text = WHOLE.replace('family = "hist_gradient_boosting"', line) + "[hyperparameters]\nwhatever = 1\n"
    with pytest.raises(SpecError, match=re.escape(told)) as caught:
        parse_spec(tomllib.loads(text))
    assert "whatever" not in str(caught.value)


@pytest.mark.parametrize("wrong", ["horizons = [1.0, 5]", "horizons = " + str([1] * 21), 'timeframe = "d1' + "x" * 20])
def test_what_cannot_be_meant_at_the_top_is_refused(tmp_path: Path, wrong: str) -> None:
    key = wrong.split(" = ", maxsplit=1)[0]
    file = tmp_path / "spec.toml"
    quote = '"' if key == "timeframe" else ""
    file.write_text("".join(f"{line}\n" for line in WHOLE.splitlines() if not line.startswith(key)) + wrong + quote)
    with pytest.raises(SpecError, match=key):
        load_spec(file)


@pytest.mark.parametrize("part", [SplitSpec, DriftSpec, Spec])
def test_every_number_has_an_upper_bound(part: Any) -> None:
    for name, field in part.model_json_schema()["properties"].items():
        if field.get("type") in {"integer", "number"}:
            assert "maximum" in field or "exclusiveMaximum" in field, name


def test_a_whole_number_will_do_where_a_fraction_may_stand(tmp_path: Path) -> None:
    file = tmp_path / "spec.toml"
    file.write_text(f"{WHOLE}[hyperparameters]\nlearning_rate = 1\n")
    assert load_spec(file).hyperparameters.learning_rate == 1


def test_a_name_is_looked_for_here_and_then_among_what_is_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_spec("stocks_d1/gbm").seed == 20110
    own = tmp_path / "specs" / "stocks_d1" / "gbm.toml"
    own.parent.mkdir(parents=True)
    own.write_text((SPECS / "stocks_d1" / "gbm.toml").read_text().replace("20110", "4"))
    assert find_spec("stocks_d1/gbm").seed == 4
    own.rename(own.with_name("other.toml"))
    with pytest.raises(SpecError, match=r"specs/stocks_d1/other\.toml declares stocks_d1/gbm. Rename the file"):
        find_spec("stocks_d1/other")
    with pytest.raises(SpecError, match=r"no specification stocks_d1/none.*there is stocks_d1/band, stocks_d1/forest"):
        find_spec("stocks_d1/none")
