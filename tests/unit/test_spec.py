"""Specifications: what is shipped can be read, and what cannot be meant is refused with the key at fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlops.exceptions import SpecError
from mlops.spec import DriftSpec, Hyperparameters, Spec, SplitSpec, load

SPECS = Path(__file__).parents[2] / "specs"
WHOLE = """
model = "mine"
family = "hist_gradient_boosting"
timeframe = "d1"
feature_set = "technical"
horizons = [1, 5]
seed = 1
"""


def test_every_spec_that_is_shipped_can_be_read_and_written_again() -> None:
    files = sorted(SPECS.glob("*.toml"))
    assert files
    for file in files:
        spec = load(file)
        assert spec.model == file.stem
        assert Spec.model_validate_json(spec.model_dump_json()) == spec


def test_what_a_spec_leaves_out_is_what_the_shipped_one_says() -> None:
    assert load(SPECS / "gbm_d1.toml").hyperparameters == Hyperparameters()


IMPOSSIBLE = {
    "[hyperparameters]\nmax_iter = 1e21": "hyperparameters.max_iter: Input should be a valid integer",
    "[hyperparameters]\nmax_iter = 60.0": "hyperparameters.max_iter: Input should be a valid integer",
    "[hyperparameters]\nmax_iter = true": "hyperparameters.max_iter: Input should be a valid integer",
    '[hyperparameters]\nmax_iter = "60"': "hyperparameters.max_iter: Input should be a valid integer",
    "[hyperparameters]\nmax_iter = 10_001": "hyperparameters.max_iter: .* less than or equal to 10000",
    "[hyperparameters]\nlearning_rate = inf": "hyperparameters.learning_rate: Input should be a finite number",
    "[hyperparameters]\nlearning_rate = nan": "hyperparameters.learning_rate: Input should be a finite number",
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
    '"' + "k" * 5000 + '" = 1': r"k{99}…: Extra inputs are not permitted",
    '"\\u001b[2J" = 1': r": \\x1b\[2J: Extra inputs",
}


@pytest.mark.parametrize("lines", IMPOSSIBLE, ids=lambda lines: lines[:40])
def test_what_cannot_be_meant_is_refused_by_its_key(tmp_path: Path, lines: str) -> None:
    file = tmp_path / "spec.toml"
    file.write_text(f"{WHOLE}{lines}\n")
    with pytest.raises(SpecError, match=IMPOSSIBLE[lines]) as caught:
        load(file)
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", ["horizons = [1.0, 5]", "horizons = " + str([1] * 21), 'timeframe = "d1' + "x" * 20])
def test_what_cannot_be_meant_at_the_top_is_refused(tmp_path: Path, wrong: str) -> None:
    key = wrong.split(" = ", maxsplit=1)[0]
    file = tmp_path / "spec.toml"
    quote = '"' if key == "timeframe" else ""
    file.write_text("".join(f"{line}\n" for line in WHOLE.splitlines() if not line.startswith(key)) + wrong + quote)
    with pytest.raises(SpecError, match=key):
        load(file)


@pytest.mark.parametrize("part", [SplitSpec, Hyperparameters, DriftSpec, Spec])
def test_every_number_has_an_upper_bound(part: Any) -> None:
    for name, field in part.model_json_schema()["properties"].items():
        if field.get("type") in {"integer", "number"}:
            assert "maximum" in field or "exclusiveMaximum" in field, name


def test_a_whole_number_will_do_where_a_fraction_may_stand(tmp_path: Path) -> None:
    file = tmp_path / "spec.toml"
    file.write_text(f"{WHOLE}[hyperparameters]\nlearning_rate = 1\n")
    assert load(file).hyperparameters.learning_rate == 1
